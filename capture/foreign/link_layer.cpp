#include "capture/foreign/link_layer.h"

#include <algorithm>

namespace smtpscope {
namespace {

// https://www.tcpdump.org/linktypes.html; 12 and 14 are what BSDs write for raw IP.
constexpr uint32_t kNull = 0, kEthernet = 1, kPpp = 9, kRaw12 = 12, kRaw14 = 14, kPppHdlc = 50, kPppEther = 51,
                   kRaw = 101, kLoop = 108, kCooked = 113, kIpv4 = 228, kIpv6 = 229, kCooked2 = 276;

uint16_t get16(std::string_view b, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(b[at]) << 8 | static_cast<uint8_t>(b[at + 1]));
}

std::string_view behind(std::string_view bytes, size_t header) { return bytes.substr(std::min(header, bytes.size())); }

/// The version says which; all else is no IP.
std::string_view ip(std::string_view bytes) {
  if (bytes.empty()) return {};
  const int version = static_cast<uint8_t>(bytes[0]) >> 4;
  return version == 4 || version == 6 ? bytes : std::string_view{};
}

/// Behind PPP's protocol number, which may be one byte long and stand behind address and control.
std::string_view ppp(std::string_view bytes) {
  if (bytes.size() >= 2 && bytes[0] == '\xff' && bytes[1] == '\x03') bytes.remove_prefix(2);
  if (bytes.size() < 2) return {};
  const bool one_byte = (static_cast<uint8_t>(bytes[0]) & 1) != 0;
  const unsigned protocol = one_byte ? static_cast<uint8_t>(bytes[0]) : get16(bytes, 0);
  return protocol == 0x21 || protocol == 0x57 ? ip(behind(bytes, one_byte ? 1 : 2)) : std::string_view{};
}

std::string_view pppoe(std::string_view bytes) { return ppp(behind(bytes, 6)); }

/// Behind the labels, the last of which says so (RFC 3032).
std::string_view mpls(std::string_view bytes) {
  while (bytes.size() >= 4) {
    const bool last = (static_cast<uint8_t>(bytes[2]) & 1) != 0;
    bytes.remove_prefix(4);
    if (last) return ip(bytes);
  }
  return {};
}

}  // namespace

std::string_view ip_packet_behind(unsigned ethertype, std::string_view bytes) {
  constexpr unsigned kVlan = 0x8100, kServiceVlan = 0x88A8, kOldQinQ = 0x9100, kOldQinQ2 = 0x9200,
                     kMinEtherType = 0x600;
  for (;;) {
    if (ethertype == kVlan || ethertype == kServiceVlan || ethertype == kOldQinQ || ethertype == kOldQinQ2) {
      if (bytes.size() < 4) return {};
      ethertype = get16(bytes, 2);
      bytes.remove_prefix(4);
    } else if (ethertype < kMinEtherType) {  // a length: LLC stands behind it, and in its SNAP the type
      if (bytes.size() < 8 || !bytes.starts_with("\xaa\xaa\x03")) return {};
      ethertype = get16(bytes, 6);
      bytes.remove_prefix(8);
    } else {
      break;
    }
  }
  if (ethertype == 0x0800 || ethertype == 0x86DD) return ip(bytes);
  if (ethertype == 0x8847 || ethertype == 0x8848) return mpls(bytes);
  return ethertype == 0x8864 ? pppoe(bytes) : std::string_view{};
}

std::string_view ip_packet_of(uint32_t link_type, std::string_view frame) {
  switch (link_type) {
    case kEthernet:
      return frame.size() < 14 ? std::string_view{} : ip_packet_behind(get16(frame, 12), frame.substr(14));
    case kCooked:
      return frame.size() < 16 ? std::string_view{} : ip_packet_behind(get16(frame, 14), frame.substr(16));
    case kCooked2:
      return frame.size() < 20 ? std::string_view{} : ip_packet_behind(get16(frame, 0), frame.substr(20));
    case kRaw:
    case kRaw12:
    case kRaw14:
    case kIpv4:
    case kIpv6:
      return ip(frame);
    case kNull:  // the address family stands in front, in either byte order; the IP version tells the same
    case kLoop:
      return ip(behind(frame, 4));
    case kPpp:
    case kPppHdlc:
      return ppp(frame);
    case kPppEther:
      return pppoe(frame);
    default:
      return {};
  }
}

bool knows_link_type(uint32_t link_type) {
  for (const uint32_t known :
       {kNull, kEthernet, kPpp, kRaw12, kRaw14, kPppHdlc, kPppEther, kRaw, kLoop, kCooked, kIpv4, kIpv6, kCooked2})
    if (link_type == known) return true;
  return false;
}

}  // namespace smtpscope
