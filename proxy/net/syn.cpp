#include "proxy/net/syn.h"

namespace smtpscope {
namespace {

constexpr uint8_t kEce = 0x40, kCwr = 0x80;
constexpr uint8_t kEnd = 0, kNop = 1, kMss = 2, kWindowScale = 3, kSackPermitted = 4, kTimestamps = 8;

void read_options(std::span<const uint8_t> options, SynFacts& syn) {
  for (size_t at = 0; at < options.size() && options[at] != kEnd;) {
    if (options[at] == kNop) {
      ++at;
      continue;
    }
    if (at + 1 >= options.size()) return;
    const size_t length = options[at + 1];
    if (length < 2 || length > options.size() - at) return;
    switch (options[at]) {
      case kMss:
        if (length == 4) syn.mss = static_cast<uint16_t>(options[at + 2] << 8 | options[at + 3]);
        break;
      case kWindowScale:
        if (length == 3) syn.window_scale = static_cast<int8_t>(options[at + 2] & 0x0F);
        break;
      case kSackPermitted:
        syn.sack = true;
        break;
      case kTimestamps:
        syn.timestamps = true;
        break;
      default:
        break;
    }
    at += length;
  }
}

}  // namespace

std::optional<SynFacts> parse_syn(std::span<const uint8_t> packet) {
  if (packet.empty()) return std::nullopt;
  const unsigned version = packet[0] >> 4;
  const size_t ip_header = version == 4 ? size_t{4} * (packet[0] & 0x0FU) : 40;
  if ((version != 4 && version != 6) || ip_header < 20 || packet.size() < ip_header + 20) return std::nullopt;
  SynFacts syn;
  syn.ttl = packet[version == 4 ? 8 : 7];
  const std::span<const uint8_t> tcp = packet.subspan(ip_header);
  syn.ecn = (tcp[13] & kEce) != 0 && (tcp[13] & kCwr) != 0;
  const size_t tcp_header = size_t{4} * (tcp[12] >> 4U);
  if (tcp_header < 20 || tcp_header > tcp.size()) return syn;
  read_options(tcp.subspan(20, tcp_header - 20), syn);
  return syn;
}

}  // namespace smtpscope
