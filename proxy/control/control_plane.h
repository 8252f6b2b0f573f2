// How a running proxy is asked and told things from outside, on its main loop: the socket in its store, the control
// address of its configuration if it has one, and its debug windows.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/control/control.h"
#include "proxy/control/control_socket.h"
#include "proxy/control/http_server.h"
#include "proxy/net/uv_ptr.h"
#include "proxy/relay/proxy.h"
#include "proxy/windows/window_keeper.h"

namespace smtpscope {

/// What came of loading the configuration anew.
struct ReloadOutcome {
  bool loaded = false;
  std::vector<std::string> messages;  ///< what stays as it was; or, where it was not loaded, what is wrong
};

class ControlPlane {
 public:
  using Reload = std::function<ReloadOutcome()>;

  /// `listener`: that of the control address; none if there is none to be. `token`: of those who may change something
  /// there; empty: nobody.
  ControlPlane(Proxy& proxy, WindowKeeper& windows, Reload reload, Fd listener, std::string token);
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  /// Once the proxy has started. What cannot be opened is told in the log; mail goes on without it. `trouble`: what
  /// hangs, empty if nothing does.
  void begin(uv_loop_t* loop, std::function<std::string()> trouble);
  /// The socket of the control address, to be handed over; -1: none. It stays its own.
  int address_socket() const { return address_socket_; }
  /// "window 3: 4 sessions" of each that is open.
  std::string windows_in_short() const;
  /// The configuration is loaded anew, unless the proxy is stopping.
  void reload();
  /// The proxy takes no more connections; it can still be asked.
  void drain();
  /// While another process is starting in this one's place nothing can be changed: it would not know of it.
  void hold(bool held) { held_ = held; }
  /// From now on another process is asked in this one's place.
  void step_aside();
  /// Takes all its handles off the loop.
  void end();

 private:
  std::unique_ptr<HttpServer> serve(Fd socket, ControlAccess access);
  void serve_socket();
  void look_after_socket();
  void on_timer();
  HttpResponse respond(const HttpRequest& request, const ControlAccess& access);
  HttpResponse answer_reload();
  std::string metrics() const;

  Proxy& proxy_;
  WindowKeeper& windows_;
  Reload reload_;
  Fd listener_;
  std::string token_;
  std::function<std::string()> trouble_;
  int address_socket_ = -1;
  uv_loop_t* loop_ = nullptr;
  std::unique_ptr<ControlSocket> socket_;
  std::unique_ptr<HttpServer> by_socket_, by_address_;
  UvPtr<uv_timer_t> timer_;
  unsigned ticks_ = 0;
  bool draining_ = false, held_ = false, socket_failed_ = false;
  bool told_ = false;  ///< that another process has the socket now
};

}  // namespace smtpscope
