#include "proxy/relay/gateway_leg.h"

#include <cerrno>
#include <utility>

#include "proxy/net/proxy_protocol.h"

namespace smtpscope {
namespace {

/// Errors of bind() and connect() that are about our own end, not about the gateway.
bool own_end_failed(int fd) { return fd == -EADDRNOTAVAIL || fd == -EADDRINUSE || fd == -EPERM || fd == -EACCES; }

GatewayLeg begin_leg(const Address& gateway, const Address* source) {
  GatewayLeg leg;
  leg.fd = connect_to(gateway, source);
  leg.v6 = gateway.storage.ss_family == AF_INET6;
  return leg;
}

/// In the sender's name; none if this host may not, or has no way to.
std::optional<GatewayLeg> open_as_sender(const Address& gateway, const Endpoint& sender) {
  for (const uint16_t port : {sender.port, uint16_t{0}}) {
    const auto source = make_address(sender.ip, port);
    if (!source || source->storage.ss_family != gateway.storage.ss_family) return std::nullopt;
    GatewayLeg leg = begin_leg(gateway, &*source);
    if (own_end_failed(leg.fd)) continue;
    if (leg.fd < 0) return leg;
    leg.sees = "sender";
    if (port != sender.port) leg.sees_port = endpoint_of(local_address(leg.fd)).port;
    return leg;
  }
  return std::nullopt;
}

}  // namespace

GatewayLeg open_gateway_leg(const Address& gateway, const Incoming& incoming, Present present) {
  if (present == Present::sender)
    if (auto leg = open_as_sender(gateway, incoming.sender)) return std::move(*leg);
  GatewayLeg leg = begin_leg(gateway, nullptr);
  if (present == Present::proxy_v1 || present == Present::proxy_v2) {
    const bool v1 = present == Present::proxy_v1;
    leg.sees = "proxy-header";
    leg.header = v1 ? "proxy-v1" : "proxy-v2";
    leg.lead = encode_proxy_header(
        v1 ? ProxyVersion::v1 : ProxyVersion::v2, incoming.sender,
        incoming.destination ? *incoming.destination : endpoint_of(local_address(incoming.fd.get())));
  }
  return leg;
}

std::optional<Address> diverted_from(int accepted, const Address& listener) {
  const Address dialled = local_address(accepted);
  // A listener may have the gateway's own port; then only the address tells.
  if (endpoint_of(dialled).port == endpoint_of(listener).port && is_local(dialled)) return std::nullopt;
  return dialled;
}

}  // namespace smtpscope
