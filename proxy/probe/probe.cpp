#include "proxy/probe/probe.h"

#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string_view>

#include "capture/smtp/syntax.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/net/socket.h"

namespace smtpscope {
namespace {

using Clock = std::chrono::steady_clock;

class Probe {
 public:
  Probe(const ProbeRequest& request, int stop) : request_(request), stop_(stop), talk_(request.commands) {}

  ProbeResult run() {
    if (connect() && send_all(lead())) converse();
    result_.greeting = talk_.greeting();
    result_.sent = talk_.sent();
    result_.replies = talk_.replies();
    result_.unasked = talk_.unasked();
    return std::move(result_);
  }

 private:
  enum class Waited : uint8_t { ready, late, stopped };

  bool end(ProbeResult::End how, int error = 0) {
    result_.end = how;
    if (error != 0) result_.error = errno_name(error);
    return false;
  }

  Waited wait(short events, Clock::time_point deadline) {
    std::array<pollfd, 2> watched{pollfd{fd_.get(), events, 0}, pollfd{stop_, POLLIN, 0}};
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left < 0) return Waited::late;
      const int n = poll(watched.data(), watched.size(), static_cast<int>(left) + 1);
      if (n < 0 && errno != EINTR) return Waited::late;
      if (n <= 0) continue;
      return watched[1].revents != 0 ? Waited::stopped : Waited::ready;
    }
  }

  bool give_up(Waited waited) {
    return end(waited == Waited::stopped ? ProbeResult::End::stopped : ProbeResult::End::silent);
  }

  int64_t now_us() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began_).count();
  }
  static Clock::time_point in_ms(uint64_t ms) { return Clock::now() + std::chrono::milliseconds(ms); }

  bool connect() {
    const auto to = make_address(request_.to.ip, request_.to.port);
    if (!to) return end(ProbeResult::End::no_connection, EINVAL);
    std::optional<Address> from;
    if (!request_.from.empty()) from = make_address(request_.from, 0);
    const int fd = from ? connect_from(*to, *from) : connect_to(*to, nullptr);
    if (fd < 0) return end(ProbeResult::End::no_connection, -fd);
    fd_ = Fd(fd);
    switch (wait(POLLOUT, in_ms(request_.connect_timeout_ms))) {
      case Waited::stopped:
        return end(ProbeResult::End::stopped);
      case Waited::late:
        return end(ProbeResult::End::no_connection, ETIMEDOUT);
      case Waited::ready:
        break;
    }
    if (const int error = socket_error(fd)) return end(ProbeResult::End::no_connection, error);
    result_.connect_us = now_us();
    result_.local = endpoint_of(local_address(fd));
    int mtu = 0;
    socklen_t size = sizeof mtu;
    const bool v6 = to->storage.ss_family == AF_INET6;
    if (getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU, &mtu, &size) == 0 && mtu > 0)
      result_.path_mtu = static_cast<uint32_t>(mtu);
    return true;
  }

  /// An address of this host needs no privilege, as connect_to() would.
  static int connect_from(const Address& to, const Address& from) {
    Fd fd(socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return -errno;
    if (bind(fd.get(), from.get(), from.length) != 0) return -errno;
    if (::connect(fd.get(), to.get(), to.length) != 0 && errno != EINPROGRESS) return -errno;
    return fd.release();
  }

  std::string lead() const {
    if (!request_.header) return "";
    return encode_proxy_header(*request_.header == 1 ? ProxyVersion::v1 : ProxyVersion::v2, result_.local, request_.to);
  }

  bool send_all(std::string_view bytes) {
    const auto deadline = in_ms(request_.reply_timeout_ms);
    while (!bytes.empty()) {
      const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) {
        bytes.remove_prefix(static_cast<size_t>(n));
      } else if (errno == EAGAIN) {
        if (const Waited waited = wait(POLLOUT, deadline); waited != Waited::ready) return give_up(waited);
      } else if (errno != EINTR) {
        return end(ProbeResult::End::closed, errno);
      }
    }
    return true;
  }

  void converse() {
    auto deadline = in_ms(request_.greeting_timeout_ms);
    std::array<char, 16384> piece{};
    while (!talk_.over()) {
      if (const Waited waited = wait(POLLIN, deadline); waited != Waited::ready) {
        give_up(waited);
        return;
      }
      const ssize_t n = recv(fd_.get(), piece.data(), piece.size(), 0);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (n <= 0) {
        end(ProbeResult::End::closed, n < 0 ? errno : 0);
        return;
      }
      const std::string next = talk_.take({piece.data(), static_cast<size_t>(n)}, now_us());
      if (talk_.too_much()) {
        end(ProbeResult::End::too_much);
        return;
      }
      if (next.empty()) continue;
      if (!send_all(next)) return;
      deadline = in_ms(request_.reply_timeout_ms);
    }
    end(ProbeResult::End::finished);
  }

  const ProbeRequest& request_;
  const int stop_;
  const Clock::time_point began_ = Clock::now();
  Talk talk_;
  Fd fd_;
  ProbeResult result_;
};

}  // namespace

const TalkReply* ProbeResult::hello() const {
  for (size_t i = 0; i < replies.size(); ++i)
    if (starts_with_nocase(sent[i], "EHLO") || starts_with_nocase(sent[i], "HELO")) return &replies[i];
  return nullptr;
}

ProbeResult run_probe(const ProbeRequest& request, int stop) { return Probe(request, stop).run(); }

std::vector<std::string> hello_and_quit() {
  char name[256] = {};
  std::string host = gethostname(name, sizeof name - 1) == 0 ? name : "";
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
  if (host.empty() || host.find_first_not_of(kLetters) != std::string::npos) host = "smtpscope";
  if (host.find('.') == std::string::npos) host += ".invalid";  // RFC 2606: never taken for somebody's
  return {"EHLO " + host, "QUIT"};
}

}  // namespace smtpscope
