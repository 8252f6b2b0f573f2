#include "proxy/net/inherited_sockets.h"

#include <fcntl.h>
#include <netinet/in.h>

#include <iterator>
#include <utility>

namespace smtpscope {
namespace {

bool listens(int fd) {
  int accepts = 0;
  socklen_t length = sizeof accepts;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &length) == 0 && accepts != 0;
}

bool is_transparent(int fd, bool v6) {
  int on = 0;
  socklen_t length = sizeof on;
  return getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, &length) == 0 &&
         on != 0;
}

bool same(const Endpoint& a, const Endpoint& b) { return a.ip == b.ip && a.port == b.port; }

}  // namespace

InheritedSockets::InheritedSockets(std::vector<Fd> sockets) {
  for (Fd& fd : sockets) {
    if (!listens(fd.get())) continue;
    fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
    sockets_.push_back(std::move(fd));
  }
}

std::vector<Fd> InheritedSockets::take(const Address& address, bool transparent) {
  std::vector<Fd> found, rest;
  const bool v6 = address.storage.ss_family == AF_INET6;
  for (Fd& fd : sockets_) {
    const Address own = local_address(fd.get());
    const bool wanted = own.storage.ss_family == address.storage.ss_family &&
                        same(endpoint_of(own), endpoint_of(address)) && is_transparent(fd.get(), v6) == transparent;
    (wanted ? found : rest).push_back(std::move(fd));
  }
  sockets_ = std::move(rest);
  return found;
}

}  // namespace smtpscope
