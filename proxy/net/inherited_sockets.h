// Listening sockets that this process got from the one before it, open and with connections in their queues. They are
// found by the address that they listen on.
#pragma once

#include <vector>

#include "proxy/net/socket.h"

namespace smtpscope {

class InheritedSockets {
 public:
  InheritedSockets() = default;
  /// Of these descriptors, those that are listening stream sockets; the others are closed. None of them passes on to a
  /// program that is run later.
  explicit InheritedSockets(std::vector<Fd> sockets);

  /// Takes out all that listen on `address`. `transparent`: those, and only those, that take connections to addresses
  /// that are not of this host.
  std::vector<Fd> take(const Address& address, bool transparent = false);
  bool empty() const { return sockets_.empty(); }

 private:
  std::vector<Fd> sockets_;
};

}  // namespace smtpscope
