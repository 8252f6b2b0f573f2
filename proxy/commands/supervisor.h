// The main loop of `run`: signals, the control plane, who looks after this process, an upgrade, the workers' end.
#pragma once

#include <uv.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "proxy/control/control_plane.h"
#include "proxy/relay/proxy.h"
#include "proxy/service/handover.h"
#include "proxy/service/supervision.h"

namespace smtpscope {

class Supervisor {
 public:
  /// `invocation`: how an upgrade starts a new process; `counts`: what that one gets to count the sessions of windows
  /// in
  /// (-1: nothing); `succession`: what this one got from the process before it.
  Supervisor(Proxy& proxy, ControlPlane& control, Invocation invocation, int counts, Succession succession);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// What else lives on the main loop: `begin` is called with it before the proxy starts, `end` when it has ended.
  /// Before run().
  void beside(std::function<void(uv_loop_t*)> begin, std::function<void()> end) {
    begin_ = std::move(begin);
    end_ = std::move(end);
  }
  /// Starts the proxy and returns when it has ended after SIGTERM or SIGINT; 0 if all went well.
  int run();

 private:
  void on_stop();
  void on_serving();
  void on_upgrade();
  void on_upgraded();
  void drain(std::optional<uint64_t> limit_ms);
  std::string status() const;
  void on_timer();

  Proxy& proxy_;
  ControlPlane& control_;
  std::function<void(uv_loop_t*)> begin_;
  std::function<void()> end_;
  uv_loop_t loop_{};
  uv_signal_t term_{}, interrupt_{}, hang_up_{}, upgrade_{};
  uv_timer_t timer_{};
  Supervision supervision_;
  Handover handover_;
  const int counts_;
  Succession succession_;
  bool draining_ = false, forced_ = false;
  bool replaced_ = false;  ///< drains because another process has taken over
  uint64_t began_ = 0;
  std::optional<uint64_t> drain_ms_;  ///< none: sessions take as long as they last
};

}  // namespace smtpscope
