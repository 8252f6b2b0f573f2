// The main loop of `run`: signals, the control plane, and the workers' end.
#pragma once

#include <uv.h>

#include <cstdint>

#include "proxy/control/control_plane.h"
#include "proxy/relay/proxy.h"

namespace smtpscope {

class Supervisor {
 public:
  Supervisor(Proxy& proxy, ControlPlane& control) : proxy_(proxy), control_(control) {}
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// From now on a SIGHUP waits until run() can answer it; else it would end a process that is still starting.
  static void hold_reloads();
  /// Starts the proxy and returns when it has ended after SIGTERM or SIGINT; 0 if all went well.
  int run();

 private:
  void on_stop();
  void on_timer();

  Proxy& proxy_;
  ControlPlane& control_;
  uv_loop_t loop_{};
  uv_signal_t term_{}, interrupt_{}, hang_up_{};
  uv_timer_t timer_{};
  bool draining_ = false, forced_ = false;
  uint64_t began_ = 0, drain_ms_ = 0;
};

}  // namespace smtpscope
