// Who uses the diversion now: the listener, and sessions in progress. From the kernel's tables of sockets.
#pragma once

#include <array>
#include <cstdint>

namespace smtpscope {

/// Does anybody listen on this port, for this family (IPv4, IPv6)? Any address of it counts.
bool somebody_listens(bool v6, uint16_t port);

/// Connections that senders made to hosts other than this one, on this port, and that end here: diverted sessions that
/// are not over, those of a proxy that has just died included.
uint64_t diverted_sessions(uint16_t port);

}  // namespace smtpscope
