#include "capture/recording/pcapng_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "capture/recording/pcapng_writer.h"

namespace smtpscope {
namespace {

constexpr uint32_t kSectionHeader = 0x0A0D0D0A, kByteOrder = 0x1A2B3C4D, kEnhancedPacket = 6;
constexpr uint32_t kMaxBlock = 1 << 20;

template <class T>
T get(std::string_view bytes, size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}
/// Big-endian, as in packet headers.
uint16_t get16(std::string_view b, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(b[at]) << 8 | static_cast<uint8_t>(b[at + 1]));
}
uint32_t get32(std::string_view b, size_t at) { return uint32_t{get16(b, at)} << 16 | get16(b, at + 2); }

/// The packet in an enhanced packet block's body, none if it is not a whole TCP packet of ours.
std::optional<RecordedPacket> parse_packet(std::string_view body) {
  if (body.size() < 20) return std::nullopt;
  RecordedPacket p;
  p.at_us = uint64_t{get<uint32_t>(body, 4)} << 32 | get<uint32_t>(body, 8);
  const uint32_t captured = get<uint32_t>(body, 12);
  if (captured > body.size() - 20 || captured < 40) return std::nullopt;
  std::string_view ip = body.substr(20, captured);
  const bool v6 = static_cast<uint8_t>(ip[0]) >> 4 == 6;
  const size_t header = v6 ? 40 : 20;
  if (ip.size() < header + 20) return std::nullopt;
  const size_t size = v6 ? 16 : 4, at = v6 ? 8 : 12;
  std::memcpy(p.from.ip.data(), ip.data() + at, size);
  std::memcpy(p.to.ip.data(), ip.data() + at + size, size);
  const std::string_view tcp = ip.substr(header);
  p.from.port = get16(tcp, 0);
  p.to.port = get16(tcp, 2);
  p.sequence = get32(tcp, 4);
  p.acknowledged = get32(tcp, 8);
  p.flags = static_cast<uint8_t>(tcp[13]);
  p.payload = tcp.substr(20);
  std::string_view options = body.substr(std::min<size_t>(body.size(), 20 + (size_t{captured} + 3) / 4 * 4));
  while (options.size() >= 4) {
    const uint16_t code = get<uint16_t>(options, 0), length = get<uint16_t>(options, 2);
    if (code == 0 || length > options.size() - 4) break;
    if (code == 1) p.comment = options.substr(4, length);
    options.remove_prefix(std::min<size_t>(options.size(), 4 + (size_t{length} + 3) / 4 * 4));
  }
  return p;
}

bool whole_block(std::string_view file, size_t at, uint32_t& type, uint32_t& length) {
  if (file.size() - at < 12) return false;
  type = get<uint32_t>(file, at);
  length = get<uint32_t>(file, at + 4);
  if (length < 12 || length % 4 != 0 || length > kMaxBlock || length > file.size() - at) return false;
  if (get<uint32_t>(file, at + length - 4) != length) return false;
  return type != kSectionHeader || (length >= 28 && get<uint32_t>(file, at + 8) == kByteOrder);
}

/// The next section header at or behind `at`, npos if none.
size_t next_section(std::string_view file, size_t at) {
  constexpr std::string_view kMagic("\x0A\x0D\x0D\x0A", 4);
  uint32_t type = 0, length = 0;
  for (at = file.find(kMagic, at); at != std::string_view::npos; at = file.find(kMagic, at + 1))
    if (whole_block(file, at, type, length)) return at;
  return std::string_view::npos;
}

}  // namespace

ReadReport read_recording(std::string_view file, const OnRecord& on_record) {
  ReadReport report;
  RecordedPackets packets(on_record);
  uint32_t type = 0, length = 0;
  if (file.empty()) return report;
  if (!whole_block(file, 0, type, length) || type != kSectionHeader) {
    report.error = "not a pcapng file of smtpscope: it does not begin with a section header";
  }
  for (size_t at = 0; at < file.size();) {
    if (!whole_block(file, at, type, length)) {
      const size_t next = next_section(file, at + 1);
      if (report.error.empty())
        report.error = next == std::string_view::npos
                           ? "cut off behind byte " + std::to_string(at)
                           : "damaged between bytes " + std::to_string(at) + " and " + std::to_string(next);
      if (next == std::string_view::npos) break;
      at = next;
      continue;
    }
    if (type == kEnhancedPacket)
      if (const auto packet = parse_packet(file.substr(at + 8, length - 12)))
        report.ignored_packets += packets.packet(*packet, {at, length}) ? 0U : 1U;
    at += length;
    report.whole_bytes = at;
  }
  return report;
}

std::string cut_session(std::string_view file, std::string_view id) {
  std::string out;
  std::optional<uint64_t> wanted;
  uint64_t copied = 0;  // end of the last block in `out`: a block may tell of two records
  read_recording(file, [&](uint64_t flow, const Record& record, ByteRange block) {
    if (const auto* facts = std::get_if<SessionFacts>(&record); !wanted && facts != nullptr && facts->id == id) {
      wanted = flow;
      append_section(out);
    }
    if (wanted != flow || block.offset < copied) return;
    out.append(file.substr(block.offset, block.length));
    copied = block.offset + block.length;
  });
  return out;
}

}  // namespace smtpscope
