#include "proxy/relay/gateway_leg.h"

#include <cerrno>

namespace smtpscope {
namespace {

/// Errors of bind() and connect() that are about our own end, not about the gateway.
bool own_end_failed(int fd) { return fd == -EADDRNOTAVAIL || fd == -EADDRINUSE || fd == -EPERM || fd == -EACCES; }

}  // namespace

GatewayLeg open_gateway_leg(const Address& gateway, const Address& sender, Present present) {
  if (present == Present::sender && sender.storage.ss_family == gateway.storage.ss_family) {
    if (const int fd = connect_to(gateway, &sender); !own_end_failed(fd)) return {fd, fd < 0 ? "proxy" : "sender", 0};
    if (const auto other_port = make_address(endpoint_of(sender).ip, 0)) {
      const int fd = connect_to(gateway, &*other_port);
      if (fd >= 0) return {fd, "sender", endpoint_of(local_address(fd)).port};
      if (!own_end_failed(fd)) return {fd, "proxy", 0};
    }
  }
  return {connect_to(gateway, nullptr), "proxy", 0};
}

std::optional<Address> diverted_from(int accepted, const Address& listener) {
  const Address dialled = local_address(accepted);
  // A listener may have the gateway's own port; then only the address tells.
  if (endpoint_of(dialled).port == endpoint_of(listener).port && is_local(dialled)) return std::nullopt;
  return dialled;
}

}  // namespace smtpscope
