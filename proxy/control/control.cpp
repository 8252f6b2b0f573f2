#include "proxy/control/control.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "config/units.h"

namespace smtpscope {
namespace {

constexpr size_t kLeastToken = 16, kMostToken = 1024;
constexpr std::string_view kWindow = "/windows/";

/// In a time that does not tell how much of it was right.
bool presents(const HttpRequest& request, const std::string& token) {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view given = request.authorization;
  if (token.empty() || !given.starts_with(kBearer) || given.size() != kBearer.size() + token.size()) return false;
  return CRYPTO_memcmp(given.data() + kBearer.size(), token.data(), token.size()) == 0;
}

HttpResponse text(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

}  // namespace

HttpResponse control_response(const HttpRequest& request, const ControlAccess& access, const RelayHealth& health,
                              const ControlCalls& calls) {
  const std::string& path = request.path;
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (!reads && !access.trusted && !presents(request, access.token)) {
    HttpResponse refused = error_response(401, "a token is needed (control.token_file)");
    refused.challenge = "Bearer realm=\"smtpscope\"";
    return refused;
  }
  const auto only = [&](std::string_view allowed) {
    HttpResponse refused = error_response(405, fmt::format("{} is for {} only", path, allowed));
    refused.allow = allowed;
    return refused;
  };
  const bool posts = request.method == "POST";
  if (path == "/windows") return reads ? calls.windows() : posts ? calls.open_window(request.body) : only("GET, POST");
  if (path.starts_with(kWindow) && path.size() > kWindow.size())
    return request.method == "DELETE" ? calls.close_window(path.substr(kWindow.size())) : only("DELETE");
  if (path == "/reload") return posts ? calls.reload() : only("POST");
  const bool known = path == "/livez" || path == "/readyz" || path == "/metrics";
  if (!known) return error_response(404, "there are /livez, /readyz, /metrics, /windows and /reload");
  if (!reads) return only("GET, HEAD");
  if (path != "/metrics" && !health.trouble.empty()) return text(503, health.trouble + '\n');
  if (path == "/livez") return text(200, "ok\n");
  if (path == "/readyz") return health.accepts ? text(200, "ok\n") : text(503, "takes no connections\n");
  HttpResponse response = text(200, calls.metrics());
  response.type = "text/plain; version=0.0.4; charset=utf-8";
  return response;
}

HttpResponse json_response(int status, std::string json) {
  HttpResponse response = text(status, std::move(json) + "\n");
  response.type = "application/json";
  return response;
}

HttpResponse error_response(int status, const std::string& message) {
  const nlohmann::ordered_json body = {{"error", message}};
  return json_response(status, body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

Result<std::string> read_token(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line(kMostToken, '\0');
  if (!file) return Error{fmt::format("{} cannot be read: {}", path, std::strerror(errno))};
  file.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  line = line.substr(0, line.find_first_of("\r\n"));
  const bool visible = std::all_of(line.begin(), line.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (line.size() < kLeastToken || !visible)
    return Error{
        fmt::format("{}: its first line is no token: {} visible characters or more, as `openssl rand -hex 32` makes",
                    path, kLeastToken)};
  return line;
}

Fd control_listener(const HostPort& at, InheritedSockets& inherited) {
  const auto address = make_address(at.host, at.port);
  if (!address) throw std::runtime_error(fmt::format("control.listen: {} is no IP address", at.host));
  if (std::vector<Fd> own = inherited.take(*address); !own.empty()) return std::move(own.front());
  const int fd = listen_alone(*address);
  if (fd < 0) throw std::runtime_error(fmt::format("control.listen: {}: {}", format_host_port(at), std::strerror(-fd)));
  return Fd(fd);
}

}  // namespace smtpscope
