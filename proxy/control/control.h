// What a running proxy answers when it is asked over HTTP: on the control address of its configuration, and on the
// socket in its store.
//
//   GET    /livez, /readyz, /metrics    health, and what was counted
//   GET    /windows                     the debug windows that are open
//   POST   /windows                     opens one (proxy/windows/window_request.h)
//   DELETE /windows/ID                  closes one
//   POST   /reload                      loads the configuration anew, as SIGHUP does
#pragma once

#include <functional>
#include <string>

#include "config/result.h"
#include "config/settings.h"
#include "proxy/control/http_request.h"
#include "proxy/control/http_server.h"
#include "proxy/net/inherited_sockets.h"
#include "proxy/net/socket.h"

namespace smtpscope {

/// What stands behind the answers.
struct ControlCalls {
  std::function<std::string()> metrics;
  std::function<HttpResponse()> windows;
  std::function<HttpResponse(const std::string& body)> open_window;
  std::function<HttpResponse(const std::string& id)> close_window;
  std::function<HttpResponse()> reload;
};

/// Who may change something: whoever is let in (`trusted`), or who presents the token. Empty: nobody has one.
struct ControlAccess {
  bool trusted = false;
  std::string token{};
};

/// How the relay is: does it take connections, and what hangs (empty if nothing does; else the process does not live).
struct RelayHealth {
  bool accepts = true;
  std::string trouble{};
};

HttpResponse control_response(const HttpRequest& request, const ControlAccess& access, const RelayHealth& health,
                              const ControlCalls& calls);

/// An answer in JSON.
HttpResponse json_response(int status, std::string json);
/// {"error": "..."}
HttpResponse error_response(int status, const std::string& message);

/// The token in a file: its first line, at least 16 visible characters. The error says what is wrong with it.
Result<std::string> read_token(const std::string& path);

/// A listening socket, from `inherited` if it is there. Throws std::runtime_error with a sentence for the operator.
Fd control_listener(const HostPort& at, InheritedSockets& inherited);

}  // namespace smtpscope
