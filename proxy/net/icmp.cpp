#include "proxy/net/icmp.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "proxy/net/socket.h"

namespace smtpscope {
namespace {

std::string unreachable_v4(uint8_t code) {
  switch (code) {
    case ICMP_NET_UNREACH:
    case ICMP_NET_UNKNOWN:
    case ICMP_NET_UNR_TOS:
      return "net-unreachable";
    case ICMP_PROT_UNREACH:
      return "protocol-unreachable";
    case ICMP_PORT_UNREACH:
      return "port-unreachable";
    case ICMP_NET_ANO:
    case ICMP_HOST_ANO:
    case ICMP_PKT_FILTERED:
      return "admin-prohibited";
    default:
      return "host-unreachable";
  }
}

std::string unreachable_v6(uint8_t code) {
  constexpr uint8_t kPolicy = 5, kRejectRoute = 6;  // RFC 4443 3.1
  switch (code) {
    case ICMP6_DST_UNREACH_NOROUTE:
      return "net-unreachable";
    case ICMP6_DST_UNREACH_ADMIN:
    case kPolicy:
    case kRejectRoute:
      return "admin-prohibited";
    case ICMP6_DST_UNREACH_NOPORT:
      return "port-unreachable";
    default:
      return "host-unreachable";
  }
}

std::string says(const sock_extended_err& error) {
  if (error.ee_origin == SO_EE_ORIGIN_ICMP && error.ee_type == ICMP_DEST_UNREACH) return unreachable_v4(error.ee_code);
  if (error.ee_origin == SO_EE_ORIGIN_ICMP6 && error.ee_type == ICMP6_DST_UNREACH) return unreachable_v6(error.ee_code);
  const bool exceeded =
      error.ee_origin == SO_EE_ORIGIN_ICMP ? error.ee_type == ICMP_TIME_EXCEEDED : error.ee_type == ICMP6_TIME_EXCEEDED;
  return exceeded ? "time-exceeded" : "type " + std::to_string(error.ee_type);
}

}  // namespace

void hear_icmp(int fd, bool v6, bool on) {
  const int value = on ? 1 : 0;
  setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &value, sizeof value);
}

IcmpError icmp_error_of(int fd) {
  alignas(cmsghdr) std::array<char, 512> control{};
  std::array<char, 64> packet{};
  iovec part{packet.data(), packet.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return {};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    const bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
    if (!v4 && (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_RECVERR)) continue;
    sock_extended_err error{};
    Address from;
    from.length = v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (c->cmsg_len < CMSG_LEN(sizeof error + from.length)) continue;
    std::memcpy(&error, CMSG_DATA(c), sizeof error);
    std::memcpy(&from.storage, CMSG_DATA(c) + sizeof error, from.length);
    const bool icmp = error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
    if (icmp && from.storage.ss_family != AF_UNSPEC) return {endpoint_of(from).ip, says(error)};
  }
  return {};
}

}  // namespace smtpscope
