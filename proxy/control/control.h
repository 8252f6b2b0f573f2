// What a running proxy answers on its control address: is it alive, does it take connections, what has it counted.
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

/// /livez, /readyz and /metrics, for GET and HEAD. All other methods change something, so they need the token; there is
/// nothing yet that can be changed. `accepts`: does the relay take connections? `token` is empty where none is set.
/// `trouble`: what hangs, empty if nothing does; then the process does not live.
HttpResponse control_response(const HttpRequest& request, const std::string& token, bool accepts,
                              const std::function<std::string()>& metrics, const std::string& trouble = {});

/// The token in a file: its first line, at least 16 visible characters. The error says what is wrong with it.
Result<std::string> read_token(const std::string& path);

/// A listening socket, from `inherited` if it is there. Throws std::runtime_error with a sentence for the operator.
Fd control_listener(const HostPort& at, InheritedSockets& inherited);

}  // namespace smtpscope
