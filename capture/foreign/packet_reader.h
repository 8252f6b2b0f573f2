// Packets out of a capture file: pcap (both byte orders, micro- and nanoseconds) and pcapng (several sections and
// interfaces, enhanced, simple and old packet blocks). Memory: one packet.
//
// Blocks of pcapng that make no sense are skipped up to where they do again: at the next section header, or at a packet
// block with two equal lengths, a known interface and a block behind it. pcap has no such marks: reading stops there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "capture/foreign/byte_source.h"

namespace smtpscope {

struct CapturedPacket {
  uint32_t link_type = 0;    ///< LINKTYPE_ of https://www.tcpdump.org/linktypes.html
  int64_t at_us = 0;         ///< Unix time, microseconds; finer times are rounded down
  std::string_view bytes;    ///< as far as they were captured, from the link layer's header on
  uint64_t wire_length = 0;  ///< bytes that it had on the wire
  std::string_view comment;  ///< pcapng: the first comment, of ours if there is one
  uint64_t offset = 0;       ///< of its record or block in the file
};

/// Does a file that begins so hold packets? Eight bytes decide.
bool looks_like_capture(std::string_view first_bytes);

class PacketReader {
 public:
  static constexpr uint32_t kMaxPacket = 16U << 20;  ///< bytes; a longer packet is taken for damage

  explicit PacketReader(ByteSource& source) : source_(source) {}

  /// The next packet, valid until the next call; false at the end or where the file cannot be read any further.
  bool next(CapturedPacket& packet);
  /// What could not be read, with the byte offset: why reading stopped before the end, or what was skipped; empty:
  /// nothing.
  std::string error() const;
  /// How many damaged places were skipped so far.
  uint64_t damages() const { return damages_; }

 private:
  struct Interface {
    uint32_t link_type = 0;
    uint32_t snap_length = 0;
    uint8_t resolution = 6;  ///< if_tsresol: 10^-n s, or 2^-n s with the highest bit
    int64_t offset_s = 0;    ///< if_tsoffset
  };
  enum class Form : uint8_t { unknown, pcap, pcapng, none };

  bool begin();
  bool next_record(CapturedPacket& packet);
  bool next_block(CapturedPacket& packet);
  std::string section_header();
  std::string block(uint32_t type, uint32_t length, CapturedPacket& packet, bool& found);
  void interface(std::string_view body);
  bool enhanced(std::string_view body, bool old, CapturedPacket& packet);
  bool simple(std::string_view body, CapturedPacket& packet);
  bool stop(const std::string& what, uint64_t offset);
  bool damaged(const std::string& what, uint64_t offset);
  bool resynchronise();
  bool begins_block(size_t at);
  uint16_t u16(std::string_view bytes, size_t at) const;
  uint32_t u32(std::string_view bytes, size_t at) const;
  uint64_t u64(std::string_view bytes, size_t at) const;

  ByteSource& source_;
  Form form_ = Form::unknown;
  bool swapped_ = false;  ///< the file is big-endian
  uint64_t pending_ = 0;  ///< bytes of the last packet, skipped at the next call
  // pcap
  uint32_t link_type_ = 0;
  size_t record_header_ = 16;
  bool nanoseconds_ = false;
  // pcapng
  std::vector<Interface> interfaces_;
  int64_t last_us_ = 0;
  std::string error_;
  uint64_t damages_ = 0, skipped_ = 0, resumed_ = 0;  ///< places, bytes in all, where it first went on
};

}  // namespace smtpscope
