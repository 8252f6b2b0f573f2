// Any bytes as a capture: no crash, and every session's records come in order, with streams that have no holes but
// those told of. The input as it is, and again behind a pcap header as packets of one connection.
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "capture/foreign/capture_file.h"
#include "capture/foreign/session_collector.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

namespace {

/// Checks what passes on its way to the analyzer.
class Checked : public RecordSink {
 public:
  explicit Checked(SessionCollector& next) : next_(next) {}
  void record(uint64_t flow, const Record& record) override {
    next_.record(flow, record);
    if (flow % 2 == 0) return;  // recordings of ours have a fuzz target of their own
    demand(std::holds_alternative<SessionFacts>(record) == !next_offset_.contains(flow));
    auto& offsets = next_offset_[flow];
    const auto passed = [&](From from, uint64_t offset, uint64_t length) {
      uint64_t& at = offsets[from == From::sender ? 0 : 1];
      demand(offset == at);
      at += length;
    };
    if (const auto* chunk = std::get_if<Chunk>(&record)) passed(chunk->from, chunk->offset, chunk->bytes.size());
    if (const auto* hole = std::get_if<Hole>(&record)) passed(hole->from, hole->offset, hole->length);
    if (const auto* end = std::get_if<SessionEnd>(&record)) {
      demand(end->sender_stream.bytes == offsets[0] && end->gateway_stream.bytes == offsets[1]);
    }
  }

 private:
  SessionCollector& next_;
  std::map<uint64_t, std::map<int, uint64_t>> next_offset_;
};

void read(std::string_view file) {
  SessionCollector collector([](Transcript&&) {}, nullptr);
  Checked checked(collector);
  ByteSource source([&](char* to, size_t size) {
    const size_t n = std::min(size, file.size());
    std::memcpy(to, file.data(), n);
    file.remove_prefix(n);
    return static_cast<std::ptrdiff_t>(n);
  });
  read_capture(source, checked);
  collector.finish();
}

/// Each piece of the input is a packet: a byte for side and flags, one for the place, one for the length.
std::string packets_of(std::string_view input) {
  std::string file("\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x65\0\0\0", 24);
  for (uint8_t number = 0; input.size() >= 3; ++number) {
    const auto kind = static_cast<uint8_t>(input[0]), place = static_cast<uint8_t>(input[1]);
    const size_t length = std::min<size_t>(static_cast<uint8_t>(input[2]), input.size() - 3);
    const bool back = (kind & 0x80) != 0;
    std::string packet("\x45\0\0\0\0\0\0\0\x40\x06\0\0\xc0\0\x02\x07\xc0\0\x02\x19\x9c\x40\0\x19", 24);
    if (back) packet.replace(12, 12, std::string("\xc0\0\x02\x19\xc0\0\x02\x07\0\x19\x9c\x40", 12));
    packet += {0, 0, 1, static_cast<char>(place), 0, 0, 1, static_cast<char>(kind & 0x40 ? place : 0), 0x50};
    packet += {static_cast<char>(kind & 0x17), 0, 0, 0, 0, 0, 0};
    packet += input.substr(3, length);
    packet[3] = static_cast<char>(packet.size());
    packet[2] = static_cast<char>(packet.size() >> 8);
    const auto size = static_cast<uint32_t>(packet.size());
    std::string head(16, '\0');
    head[0] = static_cast<char>(number);
    std::memcpy(head.data() + 8, &size, 4);
    std::memcpy(head.data() + 12, &size, 4);
    file += head + packet;
    input.remove_prefix(3 + length);
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read(input);
  read(packets_of(input));
  return 0;
}
