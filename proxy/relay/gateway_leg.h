// The connection to the gateway of one session: to which address, and in whose name.
#pragma once

#include <optional>
#include <string>

#include "config/settings.h"
#include "proxy/net/socket.h"
#include "proxy/relay/incoming.h"

namespace smtpscope {

struct GatewayLeg {
  int fd = -1;  ///< a connection that is under way, or a negative errno
  bool v6 = false;
  const char* sees = "proxy";  ///< whose address the gateway sees: sender | proxy | proxy-header
  uint16_t sees_port = 0;      ///< sees sender: the port that it sees, if not the sender's own
  const char* header = "";     ///< sees proxy-header: proxy-v1 | proxy-v2
  std::string lead;            ///< the bytes of that header, for the gateway before all else
};

/// Begins to connect to the gateway. With Present::sender in the sender's name: its address and port; where the port is
/// taken its address and another port; where that is not allowed (no CAP_NET_ADMIN, other family) in this host's own.
/// With Present::proxy_v1 and proxy_v2 in this host's own, and a header says whose connection it is.
GatewayLeg open_gateway_leg(const Address& gateway, const Incoming& incoming, Present present);

/// Where a connection that the kernel diverted to a transparent listener was going. None if it was not diverted: its
/// sender dialled the listener itself, and to follow it would be to dial ourselves. `listener`: its own address.
std::optional<Address> diverted_from(int accepted, const Address& listener);

}  // namespace smtpscope
