// A connection on its way to becoming a session, and whose it is.
#pragma once

#include <optional>

#include "capture/session.h"
#include "proxy/net/socket.h"

namespace smtpscope {

struct Incoming {
  Fd fd;
  Endpoint sender;                      ///< its peer, or whom the peer's PROXY header named
  std::optional<Endpoint> via;          ///< the peer, if its header named the sender
  std::optional<Endpoint> destination;  ///< where the sender connected to, if the header named it
  std::optional<Address>
      gateway;  ///< where it was going when the kernel diverted it to us; else to the one of the settings
};

}  // namespace smtpscope
