// Who uses the diversion now: the listener, and sessions in progress. From the kernel's tables of sockets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace smtpscope {

/// Does anybody listen on this port, for this family (IPv4, IPv6)? Any address of it counts.
bool somebody_listens(bool v6, uint16_t port);

/// The sender's side of a diverted session: "192.0.2.25:25" or "[2001:db8::25]:25", whom it dialled, and its own.
struct DivertedSession {
  std::string dialled, sender;
};

/// Connections that senders made to hosts other than this one, on this port, and that end here: diverted sessions that
/// are not over, also of a proxy that has died with bytes still to be delivered.
std::vector<DivertedSession> diverted_sessions(uint16_t port);

}  // namespace smtpscope
