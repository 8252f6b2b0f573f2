#include "capture/foreign/packet_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace smtpscope {
namespace {

constexpr uint32_t kPcapMicro = 0xA1B2C3D4, kPcapNano = 0xA1B23C4D, kPcapModified = 0xA1B2CD34;
constexpr uint32_t kSectionHeader = 0x0A0D0D0A, kByteOrder = 0x1A2B3C4D;
constexpr uint32_t kInterface = 1, kOldPacket = 2, kSimplePacket = 3, kEnhancedPacket = 6;
constexpr uint16_t kEndOfOptions = 0, kComment = 1, kTsResolution = 9, kTsOffset = 14;
constexpr size_t kMaxInterfaces = 65'536;
constexpr uint32_t kMaxBlock = PacketReader::kMaxPacket + (1U << 20);  // of a block that is read; others are skipped

static_assert(std::endian::native == std::endian::little, "captures are read on little-endian hosts");

uint32_t swap32(uint32_t v) { return __builtin_bswap32(v); }

uint32_t raw32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// Ticks of if_tsresol as microseconds, rounded down; the largest values wrap.
int64_t microseconds(uint64_t ticks, uint8_t resolution) {
  if (resolution == 6) return static_cast<int64_t>(ticks);
  uint64_t seconds = 0, rest_us = 0;
  if (resolution & 0x80) {
    unsigned bits = resolution & 0x7FU;
    if (bits > 63) return 0;
    seconds = ticks >> bits;
    uint64_t rest = bits == 0 ? 0 : ticks & ((uint64_t{1} << bits) - 1);
    if (bits > 40) rest >>= bits - 40, bits = 40;
    rest_us = rest * 1'000'000 >> bits;
  } else {
    uint64_t units = 1;
    unsigned digits = resolution;
    for (; digits > 12; --digits) ticks /= 10;
    for (; digits > 0; --digits) units *= 10;
    seconds = ticks / units;
    rest_us = ticks % units * 1'000'000 / units;
  }
  return static_cast<int64_t>(seconds * 1'000'000 + rest_us);
}

int64_t plus_seconds(int64_t us, int64_t seconds) {
  constexpr int64_t kYear9999End = 253'402'300'799'999'999;
  const auto sum = static_cast<int64_t>(static_cast<uint64_t>(us) + static_cast<uint64_t>(seconds) * 1'000'000);
  return std::clamp<int64_t>(sum, 0, kYear9999End);
}

}  // namespace

bool looks_like_capture(std::string_view first_bytes) {
  if (first_bytes.size() < 4) return false;
  const uint32_t magic = raw32(first_bytes, 0);
  for (const uint32_t known : {kPcapMicro, kPcapNano, kPcapModified})
    if (magic == known || magic == swap32(known)) return true;
  return magic == kSectionHeader;
}

uint16_t PacketReader::u16(std::string_view bytes, size_t at) const {
  uint16_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return swapped_ ? __builtin_bswap16(value) : value;
}
uint32_t PacketReader::u32(std::string_view bytes, size_t at) const {
  const uint32_t value = raw32(bytes, at);
  return swapped_ ? swap32(value) : value;
}
uint64_t PacketReader::u64(std::string_view bytes, size_t at) const {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return swapped_ ? __builtin_bswap64(value) : value;
}

bool PacketReader::stop(const std::string& what, uint64_t offset) {
  form_ = Form::none;
  if (!error_.empty()) return false;
  error_ = source_.error().empty() ? what : source_.error();
  error_ += " (byte " + std::to_string(offset) + (source_.compressed() ? " of the unpacked data)" : ")");
  return false;
}

std::string PacketReader::error() const {
  if (damages_ == 0) return error_;
  std::string text = error_ + "; went on at byte " + std::to_string(resumed_);
  if (damages_ > 1) text += "; " + std::to_string(damages_) + " such places";
  return text + ", " + std::to_string(skipped_) + " bytes skipped";
}

/// Goes past a block that makes no sense; false if nothing behind it does.
bool PacketReader::damaged(const std::string& what, uint64_t offset) {
  if (!resynchronise()) {
    if (damages_ == 0) return stop(what, offset);
    form_ = Form::none;
    return false;
  }
  if (error_.empty()) {
    error_ = what + " (byte " + std::to_string(offset) + (source_.compressed() ? " of the unpacked data)" : ")");
    resumed_ = source_.offset();
  }
  ++damages_;
  return true;
}

/// Does a block begin here, so far into what is peeked, that may be gone on with?
bool PacketReader::begins_block(size_t at) {
  constexpr uint32_t kMost = 1U << 20;
  std::string_view bytes = source_.peek(at + 28).substr(at);
  if (bytes.size() < 28) return false;
  bool swapped = swapped_;
  const bool section = raw32(bytes, 0) == kSectionHeader;
  if (section) {
    const uint32_t order = raw32(bytes, 8);
    if (order != kByteOrder && order != swap32(kByteOrder)) return false;
    swapped = order != kByteOrder;
  }
  const auto word = [&](size_t offset) { return swapped ? swap32(raw32(bytes, offset)) : raw32(bytes, offset); };
  const uint32_t length = word(4);
  if (length < 28 || length % 4 != 0 || length > kMost) return false;
  if (!section &&
      (word(0) != kEnhancedPacket || length < 32 || word(8) >= interfaces_.size() || word(20) > length - 32))
    return false;
  bytes = source_.peek(at + length + 8).substr(at);
  if (bytes.size() < length || word(length - 4) != length) return false;
  if (bytes.size() < length + 8) return true;  // the last of the file
  const uint32_t next = word(length), next_length = word(length + 4);
  const bool known = next == kSectionHeader || (next > 0 && next < 16) || next == 0xBAD || next == 0x40000BAD;
  return known && next_length >= 12 && (next == kSectionHeader || next_length % 4 == 0);
}

bool PacketReader::resynchronise() {
  constexpr size_t kWindow = 65'536;
  const uint64_t from = source_.offset();
  const auto first_byte = [&](char c) { return c == '\x0a' || c == static_cast<char>(swapped_ ? 0 : kEnhancedPacket); };
  for (size_t at = 1;;) {
    const size_t size = source_.peek(at + kWindow).size();
    for (; at + 28 <= size; ++at) {
      if (!first_byte(source_.peek(at + 1)[at]) || !begins_block(at)) continue;
      source_.skip(at);
      skipped_ += source_.offset() - from;
      return true;
    }
    if (size < at + kWindow && source_.peek(size + 1).size() == size) break;  // the end
    source_.skip(at);
    at = 0;
  }
  while (!source_.peek(1).empty()) source_.skip(source_.peek(1).size());
  skipped_ += damages_ > 0 ? source_.offset() - from : 0;
  return false;
}

bool PacketReader::next(CapturedPacket& packet) {
  if (form_ == Form::unknown && !begin()) return false;
  if (form_ == Form::none) return false;
  source_.skip(pending_);
  pending_ = 0;
  return form_ == Form::pcap ? next_record(packet) : next_block(packet);
}

bool PacketReader::begin() {
  const std::string_view head = source_.peek(24);
  if (!looks_like_capture(head)) {
    if (head.empty()) return stop("the file is empty", 0);
    return stop(head.size() < 4 ? "the file ends before its header does" : "neither pcap nor pcapng", 0);
  }
  const uint32_t magic = raw32(head, 0);
  if (magic == kSectionHeader) {
    form_ = Form::pcapng;
    return true;
  }
  if (head.size() < 24) return stop("the file ends before its header does", head.size());
  swapped_ = magic != kPcapMicro && magic != kPcapNano && magic != kPcapModified;
  const uint32_t known = swapped_ ? swap32(magic) : magic;
  nanoseconds_ = known == kPcapNano;
  record_header_ = known == kPcapModified ? 24 : 16;
  link_type_ = u32(head, 20) & 0xFFFF;  // above are the length of a frame check sequence and reserved bits
  form_ = Form::pcap;
  source_.skip(24);
  return true;
}

bool PacketReader::next_record(CapturedPacket& packet) {
  const uint64_t at = source_.offset();
  std::string_view head = source_.peek(record_header_);
  if (head.empty() && source_.error().empty()) return false;
  if (head.size() < record_header_) return stop("the file is cut off inside a packet", at);
  const uint32_t captured = u32(head, 8);
  if (captured > kMaxPacket) return stop("damaged: a packet of " + std::to_string(captured) + " bytes", at);
  const std::string_view record = source_.peek(record_header_ + captured);
  if (record.size() < record_header_ + captured) return stop("the file is cut off inside a packet", at);
  packet.link_type = link_type_;
  const uint32_t fraction = u32(record, 4);
  packet.at_us = int64_t{u32(record, 0)} * 1'000'000 + (nanoseconds_ ? fraction / 1000 : fraction);
  packet.bytes = record.substr(record_header_, captured);
  packet.wire_length = std::max(u32(record, 12), captured);
  packet.comment = {};
  packet.offset = at;
  pending_ = record_header_ + captured;
  return true;
}

/// Takes the byte order from a section header; what is wrong with it, empty if nothing.
std::string PacketReader::section_header() {
  const std::string_view head = source_.peek(28);
  if (head.size() < 28) return "the file is cut off inside a section header";
  const uint32_t order = raw32(head, 8);
  if (order != kByteOrder && order != swap32(kByteOrder)) return "damaged: a section header without a byte order";
  swapped_ = order != kByteOrder;
  interfaces_.clear();
  return "";
}

bool PacketReader::next_block(CapturedPacket& packet) {
  for (;;) {
    const uint64_t at = source_.offset();
    const std::string_view head = source_.peek(12);
    if (head.empty() && source_.error().empty()) return false;
    if (head.size() < 12) return stop("the file is cut off inside a block", at);
    std::string wrong;
    if (raw32(head, 0) == kSectionHeader) wrong = section_header();
    const std::string_view again = source_.peek(12);
    const uint32_t type = u32(again, 0), length = u32(again, 4);
    bool found = false;
    if (wrong.empty()) wrong = block(type, length, packet, found);
    if (!wrong.empty()) {
      if (!source_.error().empty()) return stop(wrong, at);
      if (!damaged(wrong, at)) return false;
    } else if (found) {
      packet.offset = at;
      pending_ = length;
      return true;
    } else if (!source_.skip(length)) {
      return stop("the file is cut off inside a block", at);
    }
  }
}

/// One block that begins here; what is wrong with it, empty if nothing. `found`: it holds a packet.
std::string PacketReader::block(uint32_t type, uint32_t length, CapturedPacket& packet, bool& found) {
  if (length < 12 || length % 4 != 0) return "damaged: a block of " + std::to_string(length) + " bytes";
  const bool wanted = type == kInterface || type == kOldPacket || type == kSimplePacket || type == kEnhancedPacket;
  if (length > kMaxBlock && !wanted) return "";  // long and of a kind that is not known: taken at its word
  if (length > kMaxBlock) return "damaged: a packet block of " + std::to_string(length) + " bytes";
  const std::string_view block = source_.peek(length);
  if (block.size() < length) return "the file is cut off inside a block";
  if (u32(block, length - 4) != length) return "damaged: the two lengths of a block differ";
  const std::string_view body = block.substr(8, length - 12);
  packet.comment = {};
  if (type == kInterface) {
    if (interfaces_.size() == kMaxInterfaces) return "damaged: too many interfaces";
    interface(body);
  } else if (wanted) {
    found = type == kSimplePacket ? simple(body, packet) : enhanced(body, type == kOldPacket, packet);
    if (!found) return "damaged: a packet block that contradicts itself";
  }
  return "";
}

void PacketReader::interface(std::string_view body) {
  Interface made;
  if (body.size() >= 8) {
    made.link_type = u16(body, 0);
    made.snap_length = u32(body, 4);
    std::string_view options = body.substr(8);
    while (options.size() >= 4) {
      const uint16_t code = u16(options, 0), length = u16(options, 2);
      if (code == kEndOfOptions || length > options.size() - 4) break;
      if (code == kTsResolution && length >= 1) made.resolution = static_cast<uint8_t>(options[4]);
      if (code == kTsOffset && length >= 8) made.offset_s = static_cast<int64_t>(u64(options, 4));
      options.remove_prefix(std::min<size_t>(options.size(), 4 + (size_t{length} + 3) / 4 * 4));
    }
  }
  interfaces_.push_back(made);
}

bool PacketReader::enhanced(std::string_view body, bool old, CapturedPacket& packet) {
  if (body.size() < 20) return false;
  const uint32_t number = old ? u16(body, 0) : u32(body, 0);
  const uint32_t captured = u32(body, 12);
  if (number >= interfaces_.size() || captured > body.size() - 20) return false;
  const Interface& from = interfaces_[number];
  const uint64_t ticks = uint64_t{u32(body, 4)} << 32 | u32(body, 8);
  packet.link_type = from.link_type;
  packet.at_us = last_us_ = plus_seconds(microseconds(ticks, from.resolution), from.offset_s);
  packet.bytes = body.substr(20, captured);
  packet.wire_length = std::max(u32(body, 16), captured);
  std::string_view options = body.substr(std::min<size_t>(body.size(), 20 + (size_t{captured} + 3) / 4 * 4));
  while (options.size() >= 4) {
    const uint16_t code = u16(options, 0), length = u16(options, 2);
    if (code == kEndOfOptions || length > options.size() - 4) break;
    const std::string_view value = options.substr(4, length);
    if (code == kComment && (packet.comment.empty() || value.find("\"smtpscope\"") != std::string_view::npos))
      packet.comment = value;
    options.remove_prefix(std::min<size_t>(options.size(), 4 + (size_t{length} + 3) / 4 * 4));
  }
  return true;
}

bool PacketReader::simple(std::string_view body, CapturedPacket& packet) {
  if (body.size() < 4 || interfaces_.empty()) return false;
  const Interface& from = interfaces_.front();
  packet.wire_length = u32(body, 0);
  size_t captured = std::min<uint64_t>(packet.wire_length, body.size() - 4);
  if (from.snap_length > 0) captured = std::min<size_t>(captured, from.snap_length);
  packet.link_type = from.link_type;
  packet.at_us = last_us_;  // it carries no time: that of the packet before
  packet.bytes = body.substr(4, captured);
  return true;
}

}  // namespace smtpscope
