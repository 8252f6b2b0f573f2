#include "capture/foreign/capture_file.h"

#include <cstring>

#include "capture/foreign/link_layer.h"
#include "capture/foreign/packet_reader.h"
#include "capture/recording/recorded_packets.h"

namespace smtpscope {
namespace {

RecordedPacket::End recorded(const TcpEnd& end, bool v6) {
  RecordedPacket::End made;
  std::memcpy(made.ip.data(), end.ip.data() + (v6 ? 0 : 12), v6 ? 16 : 4);
  made.port = end.port;
  return made;
}

RecordedPacket recorded(const TcpSegment& s, const CapturedPacket& packet, bool v6) {
  RecordedPacket p;
  p.from = recorded(s.from, v6);
  p.to = recorded(s.to, v6);
  p.sequence = s.sequence;
  p.acknowledged = s.acknowledged;
  p.flags = s.flags;
  p.at_us = static_cast<uint64_t>(packet.at_us);
  p.payload = s.payload;
  p.comment = packet.comment;
  return p;
}

}  // namespace

CaptureReport read_capture(ByteSource& source, RecordSink& sink) {
  CaptureReport report;
  PacketReader packets(source);
  IpLayer ip;
  // Sessions of our own recordings have the even numbers, all others the odd ones.
  class Numbered : public RecordSink {
   public:
    explicit Numbered(RecordSink& sink) : sink_(sink) {}
    void record(uint64_t flow, const Record& record) override { sink_.record(flow * 2 + 1, record); }
    bool full() const override { return sink_.full(); }

   private:
    RecordSink& sink_;
  } foreign(sink);
  FlowTable table(foreign);
  const OnRecord on_own = [&](uint64_t flow, const Record& record, ByteRange) { sink.record(flow * 2, record); };
  RecordedPackets own(on_own);

  CapturedPacket packet;
  TcpSegment segment;
  while (packets.next(packet)) {
    ++report.packets;
    const std::string_view bytes = ip_packet_of(packet.link_type, packet.bytes);
    if (bytes.empty()) {
      if (!knows_link_type(packet.link_type)) {
        report.unknown_link = packet.link_type;
        ++report.unknown_packets;
      }
      continue;
    }
    const uint64_t link_header = static_cast<uint64_t>(bytes.data() - packet.bytes.data());
    if (!ip.parse(bytes, packet.wire_length - link_header, packet.at_us, segment)) continue;
    ++report.segments;
    if (!own.idle() || packet.comment.find("\"session/1\"") != std::string_view::npos) {
      const bool v6 = static_cast<uint8_t>(bytes[0]) >> 4 == 6;
      if (own.packet(recorded(segment, packet, v6), {packet.offset, 0})) continue;
    }
    table.segment(segment);
  }
  table.finish();
  report.error = packets.error();
  return report;
}

}  // namespace smtpscope
