// Both ends of a relayed session for tests: plain blocking sockets on loopback with a time limit on every wait, so that
// a relay that forgets something fails the test instead of hanging it.
#pragma once

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace smtpscope::test {

inline constexpr int kWaitMs = 10'000;

/// How a stream came to its end.
enum class End : uint8_t { fin, rst, none };

inline void check(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": errno " + std::to_string(errno));
}

inline bool wait_for(int fd, short events, int ms = kWaitMs) {
  pollfd p{fd, events, 0};
  return poll(&p, 1, ms) > 0;
}

/// One end of a TCP connection.
class Peer {
 public:
  explicit Peer(int fd = -1) : fd_(fd) {}
  ~Peer() { close(); }
  Peer(Peer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Peer& operator=(Peer&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }

  static Peer connect(uint16_t port, bool v6 = false, int receive_buffer = 0) {
    Peer peer(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    check(peer.fd_ >= 0, "socket");
    if (receive_buffer > 0) setsockopt(peer.fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    int done;
    if (v6) {
      sockaddr_in6 to{};
      to.sin6_family = AF_INET6;
      to.sin6_addr = in6addr_loopback;
      to.sin6_port = htons(port);
      done = ::connect(peer.fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    } else {
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      to.sin_port = htons(port);
      done = ::connect(peer.fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    check(done == 0, "connect");
    return peer;
  }

  /// IPv4, for what has to be done in steps.
  static Peer unconnected() {
    Peer peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    check(peer.fd_ >= 0, "socket");
    return peer;
  }
  void bind_to(const char* ip) const {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    inet_pton(AF_INET, ip, &at.sin_addr);
    check(bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0, "bind");
  }
  void connect_to(uint16_t port) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    check(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0, "connect");
  }

  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  void send(std::string_view bytes, int flags = 0) const {
    while (!bytes.empty()) {
      check(wait_for(fd_, POLLOUT), "the other side takes no more");
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT | flags);
      check(n > 0 || errno == EAGAIN, "send");
      if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
    }
  }

  /// Waits until the other side's kernel has all that was sent.
  void wait_until_taken() const {
    for (int ms = 0; ms < kWaitMs; ++ms) {
      int bytes = 0;
      check(ioctl(fd_, SIOCOUTQ, &bytes) == 0, "SIOCOUTQ");
      if (bytes == 0) return;
      usleep(1000);
    }
    throw std::runtime_error("the other side does not take what was sent");
  }

  /// Sends until nothing was taken for `quiet_ms`; the number of bytes taken.
  size_t send_until_blocked(std::string_view bytes, int quiet_ms) const {
    size_t sent = 0;
    while (sent < bytes.size() && wait_for(fd_, POLLOUT, quiet_ms)) {
      const ssize_t n = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) break;
      sent += static_cast<size_t>(n);
    }
    return sent;
  }

  /// Exactly `size` bytes, or fewer if the stream ended or nothing came in time.
  std::string receive(size_t size) const {
    std::string out;
    char buffer[65536];
    while (out.size() < size && wait_for(fd_, POLLIN)) {
      const ssize_t n = recv(fd_, buffer, std::min(sizeof buffer, size - out.size()), 0);
      if (n <= 0) break;
      out.append(buffer, static_cast<size_t>(n));
    }
    return out;
  }

  /// Everything up to the end of the stream, and which end that was; none: it did not end in time.
  std::pair<std::string, End> receive_all(int ms = kWaitMs) const {
    std::string out;
    char buffer[65536];
    while (wait_for(fd_, POLLIN, ms)) {
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n == 0) return {std::move(out), End::fin};
      if (n < 0) return {std::move(out), End::rst};
      out.append(buffer, static_cast<size_t>(n));
    }
    return {std::move(out), End::none};
  }

  bool silent(int ms) const { return !wait_for(fd_, POLLIN, ms); }
  void fin() const { shutdown(fd_, SHUT_WR); }
  void reset() {
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

/// A listening socket on a free port of loopback.
class Gateway {
 public:
  explicit Gateway(bool v6 = false, int receive_buffer = 0, int backlog = 512)
      : fd_(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    check(fd_ >= 0, "socket");
    if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_storage at{};
    at.ss_family = v6 ? AF_INET6 : AF_INET;
    socklen_t length = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    if (v6)
      reinterpret_cast<sockaddr_in6*>(&at)->sin6_addr = in6addr_loopback;
    else
      reinterpret_cast<sockaddr_in*>(&at)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* address = reinterpret_cast<sockaddr*>(&at);
    check(bind(fd_, address, length) == 0 && listen(fd_, backlog) == 0, "listen");
    getsockname(fd_, address, &length);
    // The port stands at the same place in both families.
    port_ = ntohs(reinterpret_cast<sockaddr_in*>(&at)->sin_port);
  }
  ~Gateway() { stop(); }
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  uint16_t port() const { return port_; }
  Peer accept(int ms = kWaitMs) const {
    if (!wait_for(fd_, POLLIN, ms)) throw std::runtime_error("the relay did not connect to the gateway");
    return Peer(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC));
  }
  /// Whether a connection comes within `ms`.
  bool waits(int ms) const { return wait_for(fd_, POLLIN, ms); }
  /// From now on the system answers no SYN, as of a gateway that is not there. Made with a backlog of 0.
  void fill_backlog() {
    for (int waiting = 0; waiting < 64; ++waiting) {
      Peer peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      to.sin_port = htons(port_);
      ::connect(peer.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
      const bool answered = wait_for(peer.fd(), POLLOUT, 100);
      waiting_.push_back(std::move(peer));
      if (!answered) return;
    }
    throw std::runtime_error("the backlog does not fill");
  }
  /// From now on connections are refused.
  void stop() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
  uint16_t port_ = 0;
  std::vector<Peer> waiting_;
};

}  // namespace smtpscope::test
