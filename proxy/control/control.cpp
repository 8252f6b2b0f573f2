#include "proxy/control/control.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "config/units.h"

namespace smtpscope {
namespace {

constexpr size_t kLeastToken = 16, kMostToken = 1024;

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

HttpResponse control_response(const HttpRequest& request, const std::string& token, bool accepts,
                              const std::function<std::string()>& metrics, const std::string& trouble) {
  if (request.method != "GET" && request.method != "HEAD") {
    if (presents(request, token)) return text(405, "nothing can be changed here\n");
    HttpResponse refused = text(401, "a token is needed (control.token_file)\n");
    refused.challenge = "Bearer realm=\"smtpscope\"";
    return refused;
  }
  if (!trouble.empty() && (request.path == "/livez" || request.path == "/readyz")) return text(503, trouble + '\n');
  if (request.path == "/livez") return text(200, "ok\n");
  if (request.path == "/readyz") return accepts ? text(200, "ok\n") : text(503, "takes no connections\n");
  if (request.path == "/metrics") {
    HttpResponse response = text(200, metrics());
    response.type = "text/plain; version=0.0.4; charset=utf-8";
    return response;
  }
  return text(404, "there are /livez, /readyz and /metrics\n");
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
