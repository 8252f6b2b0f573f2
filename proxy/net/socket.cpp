#include "proxy/net/socket.h"

#include "proxy/net/icmp.h"
#include "proxy/net/syn.h"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>  // not netinet/tcp.h: its tcp_info is of 2007
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace smtpscope {
namespace {

// Dead peers are noticed, quiet ones are left alone: RFC 5321 4.5.3.2 lets either side be silent for minutes.
constexpr int kKeepAliveIdleSeconds = 300, kKeepAliveIntervalSeconds = 30, kKeepAliveProbes = 8;

void set(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

void pass_at_once(int fd) {
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_OOBINLINE, 1);  // an urgent byte is a byte of the stream, and recv() would skip it
}

/// The kernel counts what came out of order, mended or not. What it holds although nothing is there to read waits
/// behind a hole.
uint32_t behind_a_hole(int fd, const tcp_info& info) {
  if (info.tcpi_rcv_ooopack == 0) return 0;
  std::array<uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t length = sizeof memory;
  int unread = 0;
  const bool holds = getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory.data(), &length) == 0 &&
                     memory[SK_MEMINFO_RMEM_ALLOC] > 0 && ioctl(fd, SIOCINQ, &unread) == 0 && unread == 0;
  return holds ? info.tcpi_rcv_ooopack : 0;
}

}  // namespace

void keep_alive(int fd) {
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

bool set_transparent(int fd, const Address& address) {
  const int on = 1;
  const bool v6 = address.storage.ss_family == AF_INET6;
  return setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, sizeof on) == 0;
}

uint16_t port_of(const Address& address) {
  return address.storage.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_port
                                               : reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port;
}

std::optional<Address> make_address(const std::string& ip, uint16_t port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  if (inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof *v4;
    return address;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) != 1) return std::nullopt;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  address.length = sizeof *v6;
  return address;
}

Endpoint endpoint_of(const Address& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return {text, ntohs(v4->sin_port)};
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
    inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, sizeof text);
  else
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  return {text, ntohs(v6->sin6_port)};
}

int port_taken(const Address& address, bool transparent) {
  const Fd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);  // connections that are closing do not count, only a listener
  if (address.storage.ss_family == AF_INET6) set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (transparent && !set_transparent(fd.get(), address)) return errno;
  return bind(fd.get(), address.get(), address.length) == 0 ? 0 : errno;
}

int listen_on(const Address& address, bool transparent) {
  Fd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return -errno;
  set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (address.storage.ss_family == AF_INET6) set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  pass_at_once(fd.get());
  if (transparent && !set_transparent(fd.get(), address)) return -errno;
  keep_alive(fd.get());
  set(fd.get(), IPPROTO_TCP, TCP_SAVE_SYN, 1);
  if (bind(fd.get(), address.get(), address.length) != 0 || listen(fd.get(), 4096) != 0) return -errno;
  return fd.release();
}

int listen_alone(const Address& address) {
  Fd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return -errno;
  set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.storage.ss_family == AF_INET6) set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (bind(fd.get(), address.get(), address.length) != 0 || listen(fd.get(), 64) != 0) return -errno;
  return fd.release();
}

Address local_address(int fd) {
  Address address;
  address.length = sizeof address.storage;
  getsockname(fd, address.get(), &address.length);
  return address;
}

bool is_local(const Address& address) {
  if (endpoint_of(address).ip.starts_with("127.")) return true;  // all of them, though the kernel answers from one
  // The kernel sends to an address of its own from that very address. (bind() would not tell:
  // net.ipv4.ip_nonlocal_bind.)
  const Fd fd(socket(address.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return fd && connect(fd.get(), address.get(), address.length) == 0 &&
         endpoint_of(local_address(fd.get())).ip == endpoint_of(address).ip;
}

int connect_to(const Address& to, const Address* source) {
  const int fd = socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  pass_at_once(fd);
  hear_icmp(fd, to.storage.ss_family == AF_INET6, true);
  if (source != nullptr) {
    // A port of its own lets a sender come back at once from the same one; else connect() may choose it, which then has
    // only to be free towards this gateway.
    if (port_of(*source) != 0)
      set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    else
      set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (!set_transparent(fd, *source) || bind(fd, source->get(), source->length) != 0) {
      const int error = errno;
      ::close(fd);
      return -error;
    }
  }
  if (connect(fd, to.get(), to.length) != 0 && errno != EINPROGRESS) {
    const int error = errno;
    ::close(fd);
    return -error;
  }
  return fd;
}

bool is_connected(int fd) {
  Address peer;
  peer.length = sizeof peer.storage;
  return getpeername(fd, peer.get(), &peer.length) == 0;
}

int socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

void reset_on_close(int fd) {
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

int unsent_bytes(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQNSD, &bytes) == 0 ? bytes : 0;
}

std::optional<LegTransport> transport_of(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  return LegTransport{info.tcpi_rtt,           info.tcpi_total_retrans, info.tcpi_snd_mss,       info.tcpi_unacked,
                      info.tcpi_notsent_bytes, info.tcpi_snd_wnd,       behind_a_hole(fd, info), info.tcpi_sacked};
}

std::optional<SynFacts> syn_of(int fd) {
  std::array<uint8_t, 256> packet{};
  socklen_t size = packet.size();
  if (getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, packet.data(), &size) != 0) return std::nullopt;
  return parse_syn({packet.data(), size});
}

Endpoint peer_of(int fd) {
  Address peer;
  peer.length = sizeof peer.storage;
  return getpeername(fd, peer.get(), &peer.length) == 0 ? endpoint_of(peer) : Endpoint{};
}

std::string errno_name(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : "errno " + std::to_string(error);
}

}  // namespace smtpscope
