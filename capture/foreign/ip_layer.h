// IPv4 and IPv6 down to TCP: options, extension headers, fragments, tunnels. Checksums are not looked at: with checksum
// offload a capture on the sending host holds none that are right.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "capture/address_bytes.h"

namespace smtpscope {

inline constexpr uint8_t kTcpFin = 1, kTcpSyn = 2, kTcpRst = 4, kTcpAck = 16;

struct TcpEnd {
  AddressBytes ip{};  ///< IPv4 as ::ffff:a.b.c.d
  uint16_t port = 0;
  auto operator<=>(const TcpEnd&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 errs
};

struct TcpSegment {
  TcpEnd from, to;
  uint32_t sequence = 0, acknowledged = 0;
  uint8_t flags = 0;         ///< kTcp...
  int64_t at_us = 0;         ///< Unix time
  std::string_view payload;  ///< as far as it was captured
  uint64_t missing = 0;      ///< bytes of the payload behind it that the snap length cut off
};

class IpLayer {
 public:
  static constexpr size_t kMaxDatagrams = 256;     ///< in pieces at once; the oldest is dropped for a new one
  static constexpr int kMaxTunnels = 4;            ///< one in another; their own fragments are not put together
  static constexpr int64_t kMaxWait = 30'000'000;  ///< microseconds that a datagram waits for its pieces (RFC 8200 4.5)

  /// Takes an IP packet apart; true and `segment` filled if there is a TCP segment in it, or if it was the last piece
  /// of one. The payload is valid until the next call, or as long as `packet`. `wire_length`: of the packet with its IP
  /// header, for packets that do not tell (0 in the length field, as offloading makes them).
  bool parse(std::string_view packet, uint64_t wire_length, int64_t at_us, TcpSegment& segment);

 private:
  struct Key {
    AddressBytes from{}, to{};
    uint32_t id = 0;
    bool operator==(const Key&) const = default;
  };
  struct Datagram {
    Key key;
    int64_t since_us = 0;
    std::map<uint32_t, std::string> pieces;  ///< by offset; no two overlap
    uint32_t length = 0;                     ///< 0: the last piece has not come
    uint32_t have = 0;
  };

  /// `inside`: the packet that this one carries, if it does.
  bool v4(std::string_view packet, uint64_t wire_length, TcpSegment& segment, std::string_view& inside);
  bool v6(std::string_view packet, uint64_t wire_length, TcpSegment& segment, std::string_view& inside);
  bool fragment(const Key& key, uint32_t offset, bool more, std::string_view bytes, TcpSegment& segment);

  std::deque<Datagram> datagrams_;  ///< oldest first
  std::string whole_;
};

}  // namespace smtpscope
