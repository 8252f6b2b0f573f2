#include "capture/foreign/ip_layer.h"

#include <algorithm>
#include <cstring>

#include "capture/foreign/tunnel.h"

namespace smtpscope {
namespace {

constexpr uint8_t kTcp = 6, kHopByHop = 0, kRouting = 43, kFragment = 44, kAuthentication = 51, kDestination = 60;
constexpr uint32_t kMaxDatagram = 65'535;

uint8_t get8(std::string_view b, size_t at) { return static_cast<uint8_t>(b[at]); }
uint16_t get16(std::string_view b, size_t at) { return static_cast<uint16_t>(get8(b, at) << 8 | get8(b, at + 1)); }
uint32_t get32(std::string_view b, size_t at) { return uint32_t{get16(b, at)} << 16 | get16(b, at + 2); }

void v4_address(AddressBytes& to, std::string_view packet, size_t at) {
  to = {};
  to[10] = to[11] = 0xff;
  std::memcpy(to.data() + 12, packet.data() + at, 4);
}

/// `length`: of the segment as it was sent; `bytes` may be less of it.
bool tcp(std::string_view bytes, uint64_t length, TcpSegment& segment) {
  if (bytes.size() < 14 || length < 20) return false;
  segment.from.port = get16(bytes, 0);
  segment.to.port = get16(bytes, 2);
  segment.sequence = get32(bytes, 4);
  segment.acknowledged = get32(bytes, 8);
  const size_t header = size_t{get8(bytes, 12)} >> 4 << 2;
  segment.flags = get8(bytes, 13);
  if (header < 20 || header > length) return false;
  segment.payload = bytes.substr(std::min(header, bytes.size()));
  segment.missing = length - header - segment.payload.size();
  return true;
}

}  // namespace

bool IpLayer::parse(std::string_view packet, uint64_t wire_length, int64_t at_us, TcpSegment& segment) {
  segment.at_us = at_us;
  for (int tunnels = 0; tunnels <= kMaxTunnels && !packet.empty(); ++tunnels) {
    std::string_view inside;
    const bool is_v4 = get8(packet, 0) >> 4 == 4;
    if (is_v4 ? v4(packet, wire_length, segment, inside) : v6(packet, wire_length, segment, inside)) return true;
    if (!inside.empty()) wire_length -= std::min(wire_length, static_cast<uint64_t>(inside.data() - packet.data()));
    packet = inside;
  }
  return false;
}

bool IpLayer::v4(std::string_view packet, uint64_t wire_length, TcpSegment& segment, std::string_view& inside) {
  if (packet.size() < 20) return false;
  const size_t header = size_t{get8(packet, 0) & 15U} * 4;
  uint64_t total = get16(packet, 2);
  if (total == 0) total = wire_length;
  if (header < 20 || header > packet.size() || total < header) return false;
  if (packet.size() > total) packet = packet.substr(0, total);  // the rest is padding of the link
  const std::string_view payload = packet.substr(header);
  const uint16_t fragmentation = get16(packet, 6);
  const bool more = (fragmentation & 0x2000) != 0;
  const uint32_t offset = (fragmentation & 0x1fffU) * 8;
  if (const uint8_t protocol = get8(packet, 9); protocol != kTcp) {
    if (!more && offset == 0) inside = ip_packet_inside(protocol, payload);
    return false;
  }
  v4_address(segment.from.ip, packet, 12);
  v4_address(segment.to.ip, packet, 16);
  if (!more && offset == 0) return tcp(payload, total - header, segment);
  if (payload.size() != total - header) return false;  // what the snap length cut cannot be put together
  return fragment({segment.from.ip, segment.to.ip, get16(packet, 4)}, offset, more, payload, segment);
}

bool IpLayer::v6(std::string_view packet, uint64_t wire_length, TcpSegment& segment, std::string_view& inside) {
  if (packet.size() < 40 || get8(packet, 0) >> 4 != 6) return false;
  uint64_t left = get16(packet, 4);
  if (left == 0) left = wire_length > 40 ? wire_length - 40 : 0;  // a jumbogram, or offloading
  std::memcpy(segment.from.ip.data(), packet.data() + 8, 16);
  std::memcpy(segment.to.ip.data(), packet.data() + 24, 16);
  uint8_t next = get8(packet, 6);
  packet.remove_prefix(40);
  if (packet.size() > left) packet = packet.substr(0, left);
  while (next != kTcp) {
    if (packet.size() < 8) return false;
    size_t header = (size_t{get8(packet, 1)} + 1) * 8;
    if (next == kFragment) {
      header = 8;
      const uint16_t field = get16(packet, 2);
      const bool more = (field & 1) != 0;
      const uint32_t offset = field & 0xfff8U;
      next = get8(packet, 0);
      if (more || offset > 0) {
        // Extension headers behind the fragment header are rare and would stand in the first piece only.
        if (next != kTcp || packet.size() != left) return false;
        return fragment({segment.from.ip, segment.to.ip, get32(packet, 4)}, offset, more, packet.substr(8), segment);
      }
    } else if (next == kHopByHop || next == kRouting || next == kDestination || next == kAuthentication) {
      if (next == kAuthentication) header = (size_t{get8(packet, 1)} + 2) * 4;
      next = get8(packet, 0);
    } else {
      inside = ip_packet_inside(next, packet);
      return false;
    }
    if (header > packet.size() || header > left) return false;
    packet.remove_prefix(header);
    left -= header;
  }
  return tcp(packet, left, segment);
}

bool IpLayer::fragment(const Key& key, uint32_t offset, bool more, std::string_view bytes, TcpSegment& segment) {
  if (bytes.empty() || offset + bytes.size() > kMaxDatagram) return false;
  auto found = std::find_if(datagrams_.begin(), datagrams_.end(), [&](const Datagram& d) { return d.key == key; });
  if (found != datagrams_.end() && segment.at_us - found->since_us > kMaxWait) {
    datagrams_.erase(found);
    found = datagrams_.end();
  }
  if (found == datagrams_.end()) {
    if (datagrams_.size() == kMaxDatagrams) datagrams_.pop_front();
    datagrams_.push_back({key, segment.at_us, {}, 0, 0});
    found = datagrams_.end() - 1;
  }
  Datagram& d = *found;
  const auto end = offset + static_cast<uint32_t>(bytes.size());
  if (!more) d.length = d.length == 0 ? end : d.length;
  // Pieces that overlap are an attack or a mistake: what came first stays (RFC 5722 drops them all).
  const auto behind = d.pieces.lower_bound(offset);
  const bool overlaps =
      (behind != d.pieces.end() && behind->first < end) ||
      (behind != d.pieces.begin() && std::prev(behind)->first + std::prev(behind)->second.size() > offset);
  if (!overlaps) {
    d.pieces.emplace(offset, bytes);
    d.have += static_cast<uint32_t>(bytes.size());
  }
  if (d.length == 0 || d.have < d.length) return false;
  whole_.clear();
  for (const auto& [at, piece] : d.pieces) whole_ += piece;
  datagrams_.erase(found);
  return tcp(whole_, whole_.size(), segment);
}

}  // namespace smtpscope
