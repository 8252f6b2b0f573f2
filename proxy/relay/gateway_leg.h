// The connection to the gateway of one session: to which address, and in whose name.
#pragma once

#include <optional>

#include "config/settings.h"
#include "proxy/net/socket.h"

namespace smtpscope {

struct GatewayLeg {
  int fd = -1;                 ///< a connection that is under way, or a negative errno
  const char* sees = "proxy";  ///< whose address the gateway sees: sender | proxy
  uint16_t sees_port = 0;      ///< sees sender: the port that it sees, if not the sender's own
};

/// Begins to connect to the gateway. With Present::sender in the sender's name: its address and port; where the port is
/// taken its address and another port; where that is not allowed (no CAP_NET_ADMIN, other family) in this host's own.
GatewayLeg open_gateway_leg(const Address& gateway, const Address& sender, Present present);

/// Where a connection that the kernel diverted to a transparent listener was going. None if it was not diverted: its
/// sender dialled the listener itself, and to follow it would be to dial ourselves. `listener`: its own address.
std::optional<Address> diverted_from(int accepted, const Address& listener);

}  // namespace smtpscope
