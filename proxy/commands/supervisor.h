// The main loop of `run`: signals, the control address, and the workers' end.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "proxy/control/http_server.h"
#include "proxy/net/socket.h"
#include "proxy/relay/proxy.h"

namespace smtpscope {

class Supervisor {
 public:
  /// `reload` is called at SIGHUP. `listener` is that of the control address, none if there is none to be; `token` of
  /// those who may change something there, empty if there is none.
  Supervisor(Proxy& proxy, std::function<void()> reload, Fd listener, std::string token);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// From now on a SIGHUP waits until run() can answer it; else it would end a process that is still starting.
  static void hold_reloads();
  /// What else lives on the main loop: `begin` is called with it before the proxy starts, `end` when it has ended.
  /// Before run().
  void beside(std::function<void(uv_loop_t*)> begin, std::function<void()> end) {
    begin_ = std::move(begin);
    end_ = std::move(end);
  }
  /// Starts the proxy and returns when it has ended after SIGTERM or SIGINT; 0 if all went well.
  int run();

 private:
  void serve();
  HttpResponse respond(const HttpRequest& request) const;
  void on_stop();
  void on_timer();

  Proxy& proxy_;
  std::function<void()> reload_, end_;
  std::function<void(uv_loop_t*)> begin_;
  Fd listener_;
  std::string token_;
  uv_loop_t loop_{};
  uv_signal_t term_{}, interrupt_{}, hang_up_{};
  uv_timer_t timer_{};
  std::unique_ptr<HttpServer> server_;
  bool draining_ = false, forced_ = false;
  uint64_t began_ = 0, drain_ms_ = 0;
};

}  // namespace smtpscope
