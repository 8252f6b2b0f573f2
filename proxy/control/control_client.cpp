#include "proxy/control/control_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>

#include "config/units.h"
#include "proxy/control/control.h"
#include "proxy/control/control_socket.h"

namespace smtpscope {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostAnswer = 64 << 20;

/// Waits until the descriptor is ready; false once it is too late.
bool wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd one{fd, events, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

Error late() { return Error{"no answer in time"}; }
Error failed() { return Error{std::strerror(errno)}; }

Result<ControlAnswer> converse(const Fd& fd, std::string_view request, Clock::time_point deadline) {
  while (!request.empty()) {
    if (!wait_for(fd.get(), POLLOUT, deadline)) return late();
    const ssize_t n = ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) break;  // it may have answered already, and closed
    request.remove_prefix(static_cast<size_t>(n));
  }
  std::string answer;
  for (char piece[16384];;) {
    if (!wait_for(fd.get(), POLLIN, deadline)) return late();
    const ssize_t n = ::recv(fd.get(), piece, sizeof piece, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return failed();
    if (n == 0) return read_answer(answer);
    answer.append(piece, static_cast<size_t>(n));
    if (answer.size() > kMostAnswer) return Error{"the answer has no end"};
  }
}

Result<Fd> connect_tcp(const HostPort& to, Clock::time_point deadline) {
  const auto address = make_address(to.host, to.port);
  if (!address) return Error{"is no address"};
  Fd fd(connect_to(*address, nullptr));
  if (fd.get() < 0) return Error{std::strerror(-fd.get())};
  if (!wait_for(fd.get(), POLLOUT, deadline)) return late();
  if (const int error = socket_error(fd.get()); error != 0) return Error{std::strerror(error)};
  return fd;
}

/// The address to ask for a listener on all addresses: this host's own.
HostPort reachable(HostPort at) {
  if (at.host == "0.0.0.0") at.host = "127.0.0.1";
  if (at.host == "::") at.host = "::1";
  return at;
}

std::string advice(const ControlPlace& place) {
  return fmt::format(
      "is `smtpscope run` running with this store ({})? --config or --store names it; only its user and root may ask "
      "it{}",
      place.store, place.control.listen ? "" : ", as \"control\": {\"listen\": ...} is not set");
}

}  // namespace

Result<ControlAnswer> read_answer(std::string_view bytes) {
  const Error none{"what answers there is no smtpscope"};
  const size_t end = bytes.find("\r\n\r\n");
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  if (end == std::string_view::npos || !bytes.starts_with(kVersion)) return none;
  ControlAnswer answer;
  const std::string_view status = bytes.substr(kVersion.size(), 3);
  const auto [stop, error] = std::from_chars(status.data(), status.data() + status.size(), answer.status);
  if (error != std::errc() || stop != status.data() + status.size() || answer.status < 100) return none;
  const std::string_view head = bytes.substr(0, end + 2);
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  const size_t at = head.find(kLength);
  if (at == std::string_view::npos) return none;
  size_t length = 0;
  const std::string_view digits = head.substr(at + kLength.size());
  if (std::from_chars(digits.data(), digits.data() + digits.size(), length).ec != std::errc()) return none;
  answer.body = bytes.substr(end + 4);
  if (answer.body.size() != length) return Error{"the answer was cut off"};
  return answer;
}

std::optional<int> proxy_in_charge(const std::string& store) {
  constexpr auto kSoon = std::chrono::seconds(2);
  const Result<Fd> fd = connect_control_socket(store);
  if (!fd) return std::nullopt;
  const auto answer = converse(*fd, "GET /readyz HTTP/1.1\r\nHost: smtpscope\r\n\r\n", Clock::now() + kSoon);
  if (!answer || answer->status != 200) return std::nullopt;
  ucred peer{};
  socklen_t length = sizeof peer;
  return ::getsockopt(fd->get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? peer.pid : 0;
}

Result<ControlAnswer> ask_proxy(const ControlPlace& place, const std::string& method, const std::string& path,
                                const std::string& body, std::chrono::milliseconds patience) {
  const auto request = [&](const std::string& token) {
    return fmt::format("{} {} HTTP/1.1\r\nHost: smtpscope\r\n{}Content-Length: {}\r\n\r\n{}", method, path,
                       token.empty() ? "" : "Authorization: Bearer " + token + "\r\n", body.size(), body);
  };
  const auto attempt = [&](const Result<Fd>& fd, const std::string& token) {
    return fd ? converse(*fd, request(token), Clock::now() + patience) : Result<ControlAnswer>(Error{fd.error()});
  };
  auto by_socket = attempt(connect_control_socket(place.store), "");
  if (by_socket) return by_socket;
  std::string tried = by_socket.error();
  if (const auto& listen = place.control.listen) {
    std::string token;
    if (const std::string& file = place.control.token_file; !file.empty()) {
      const auto read = read_token(file);
      if (read)
        token = *read;
      else
        tried += "; " + read.error();
    }
    const HostPort at = reachable(*listen);
    auto by_tcp = attempt(connect_tcp(at, Clock::now() + patience), token);
    if (by_tcp) return by_tcp;
    tried += fmt::format("; {}: {}", format_host_port(at), by_tcp.error());
  }
  return Error{fmt::format("no proxy is reachable ({}): {}", tried, advice(place))};
}

}  // namespace smtpscope
