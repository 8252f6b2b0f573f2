#include "capture/foreign/tunnel.h"

#include <algorithm>

#include "capture/foreign/link_layer.h"

namespace smtpscope {
namespace {

constexpr uint8_t kIpv4 = 4, kUdp = 17, kIpv6 = 41, kGre = 47;
constexpr uint32_t kEthernet = 1;

uint16_t get16(std::string_view b, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(b[at]) << 8 | static_cast<uint8_t>(b[at + 1]));
}

std::string_view behind(std::string_view bytes, size_t header) { return bytes.substr(std::min(header, bytes.size())); }

/// RFC 2784 and 2890.
std::string_view gre(std::string_view bytes) {
  constexpr unsigned kChecksum = 0x8000, kKey = 0x2000, kSequence = 0x1000, kRoutingOrVersion = 0x4007;
  constexpr unsigned kBridged = 0x6558, kErspan = 0x88BE;
  if (bytes.size() < 4) return {};
  const unsigned flags = get16(bytes, 0), type = get16(bytes, 2);
  if ((flags & kRoutingOrVersion) != 0) return {};
  size_t header = 4;
  for (const unsigned field : {kChecksum, kKey, kSequence}) header += (flags & field) != 0 ? 4 : 0;
  // Of ERSPAN's first version there is no header, and no number in that of GRE.
  if (type == kErspan && (flags & kSequence) != 0) header += 8;
  const std::string_view inside = behind(bytes, header);
  return type == kBridged || type == kErspan ? ip_packet_of(kEthernet, inside) : ip_packet_behind(type, inside);
}

/// RFC 7348.
std::string_view vxlan(std::string_view udp) {
  constexpr uint16_t kPort = 4789;
  constexpr size_t kHeaders = 8 + 8;
  if (udp.size() < kHeaders || get16(udp, 2) != kPort || udp[8] != 0x08) return {};
  return ip_packet_of(kEthernet, udp.substr(kHeaders));
}

}  // namespace

std::string_view ip_packet_inside(uint8_t protocol, std::string_view payload) {
  switch (protocol) {
    case kIpv4:
      return ip_packet_behind(0x0800, payload);
    case kIpv6:
      return ip_packet_behind(0x86DD, payload);
    case kGre:
      return gre(payload);
    case kUdp:
      return vxlan(payload);
    default:
      return {};
  }
}

}  // namespace smtpscope
