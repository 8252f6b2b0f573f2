// The PROXY protocol of load balancers (HAProxy's proxy-protocol.txt), versions 1 and 2: a header before the first byte
// of a stream that says whose connection it is. Pure: bytes in, values out; no sockets, no clock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "capture/session.h"

namespace smtpscope {

inline constexpr size_t kMaxProxyV1 = 107;       ///< bytes, CR LF included
inline constexpr size_t kMaxProxyV2Body = 4096;  ///< bytes behind the 16 fixed ones that we are willing to read

struct ProxyHeader {
  enum class State : uint8_t {
    incomplete,  ///< right so far; every byte given belongs to the header
    complete,    ///< `size` bytes are the header; what follows is the stream
    malformed,   ///< no header, whatever may follow
  };
  State state = State::incomplete;
  size_t size = 0;  ///< complete: bytes of the header
  /// Complete: whether it names the ends of the connection. It does not for LOCAL (a health check of the load
  /// balancer's own), UNKNOWN, UNSPEC and UNIX: the connection then counts as its peer's.
  bool names_ends = false;
  Endpoint source, destination;  ///< canonical addresses, both of one family
  std::string_view problem;      ///< malformed: what is wrong, for the log
};

/// Reads the beginning of a stream. The answer for some bytes does not depend on those behind the header.
ProxyHeader parse_proxy_header(std::string_view bytes);

enum class ProxyVersion : uint8_t { v1 = 1, v2 = 2 };

/// The header that says: this connection is from `source` to `destination`. Both are numeric addresses; if they are not
/// of one family, IPv4 stands as a mapped IPv6 address.
std::string encode_proxy_header(ProxyVersion version, const Endpoint& source, const Endpoint& destination);

}  // namespace smtpscope
