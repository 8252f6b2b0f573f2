#include "capture/foreign/capture_file.h"

#include <algorithm>
#include <cstring>
#include <queue>
#include <tuple>
#include <utility>

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

/// Packets in order of time, of one file or of several; out come the records of the sessions in them.
class Dissector {
 public:
  explicit Dissector(RecordSink& sink)
      : foreign_(sink),
        table_(foreign_),
        on_own_([&sink](uint64_t flow, const Record& record, ByteRange) { sink.record(flow * 2, record); }),
        own_(on_own_) {}

  void packet(const CapturedPacket& packet, CaptureReport& report) {
    ++report.packets;
    const std::string_view bytes = ip_packet_of(packet.link_type, packet.bytes);
    if (bytes.empty()) {
      if (!knows_link_type(packet.link_type)) {
        report.unknown_link = packet.link_type;
        ++report.unknown_packets;
      }
      return;
    }
    const uint64_t link_header = static_cast<uint64_t>(bytes.data() - packet.bytes.data());
    if (!ip_.parse(bytes, packet.wire_length - link_header, packet.at_us, segment_)) return;
    ++report.segments;
    if (!own_.idle() || packet.comment.find("\"session/1\"") != std::string_view::npos) {
      const bool v6 = static_cast<uint8_t>(bytes[0]) >> 4 == 6;
      if (own_.packet(recorded(segment_, packet, v6), {packet.offset, 0})) return;
    }
    table_.segment(segment_);
  }
  void damaged() { table_.damaged(); }
  void finish() { table_.finish(); }

 private:
  // Sessions of our own recordings have the even numbers, all others the odd ones.
  class Numbered : public RecordSink {
   public:
    explicit Numbered(RecordSink& sink) : sink_(sink) {}
    void record(uint64_t flow, const Record& record) override { sink_.record(flow * 2 + 1, record); }
    bool full() const override { return sink_.full(); }

   private:
    RecordSink& sink_;
  };

  Numbered foreign_;
  FlowTable table_;
  OnRecord on_own_;
  RecordedPackets own_;
  IpLayer ip_;
  TcpSegment segment_;
};

/// A file that is read, and its packet that is to come.
class Reading {
 public:
  explicit Reading(std::unique_ptr<ByteSource> from) : source_(std::move(from)), packets_(*source_) {}

  bool next() { return packets_.next(head); }
  /// Was something skipped since this was asked last?
  bool damaged() { return packets_.damages() != std::exchange(known_damages_, packets_.damages()); }
  std::string error() const { return packets_.error(); }

  CapturedPacket head;

 private:
  std::unique_ptr<ByteSource> source_;
  PacketReader packets_;
  uint64_t known_damages_ = 0;
};

/// A file among those that are read together.
struct Part {
  CaptureInput* input;
  int64_t first_us;
  std::unique_ptr<Reading> reading;  ///< null: opened when its time comes, closed when it is over
};

/// Opens it and takes its first packet; false if there is none, which its report tells of.
bool begin(CaptureInput& input, std::unique_ptr<Reading>& reading) {
  reading = std::make_unique<Reading>(input.open());
  if (reading->next()) return true;
  input.report.error = reading->error();
  reading.reset();
  return false;
}

/// In the order in which their packets begin.
std::vector<Part> in_order(std::vector<CaptureInput>& inputs) {
  std::vector<Part> parts;
  for (CaptureInput& input : inputs) {
    std::unique_ptr<Reading> reading;
    if (!begin(input, reading)) continue;
    const int64_t first_us = reading->head.at_us;
    if (input.opens_again) reading.reset();
    parts.push_back({&input, first_us, std::move(reading)});
  }
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    return std::tie(a.first_us, a.input->name) < std::tie(b.first_us, b.input->name);
  });
  return parts;
}

}  // namespace

CaptureReport read_capture(ByteSource& source, RecordSink& sink) {
  CaptureReport report;
  PacketReader packets(source);
  Dissector dissector(sink);
  CapturedPacket packet;
  uint64_t damages = 0;
  for (bool more = true; more;) {
    more = packets.next(packet);
    if (packets.damages() != std::exchange(damages, packets.damages())) dissector.damaged();
    if (more) dissector.packet(packet, report);
  }
  dissector.finish();
  report.error = packets.error();
  return report;
}

void read_captures(std::vector<CaptureInput>& inputs, RecordSink& sink) {
  struct Next {
    int64_t at_us;
    size_t rank;                               ///< of the file, in the order in which they begin
    bool operator<(const Next& other) const {  // the one that comes first is the greatest
      return std::pair(at_us, rank) > std::pair(other.at_us, other.rank);
    }
  };
  std::vector<Part> parts = in_order(inputs);
  std::priority_queue<Next> next;
  for (size_t rank = 0; rank < parts.size(); ++rank) next.push({parts[rank].first_us, rank});
  Dissector dissector(sink);
  while (!next.empty()) {
    const size_t rank = next.top().rank;
    next.pop();
    Part& part = parts[rank];
    if (!part.reading && !begin(*part.input, part.reading)) continue;
    Reading& reading = *part.reading;
    bool more = true;
    do {
      dissector.packet(reading.head, part.input->report);
      more = reading.next();
      if (reading.damaged()) dissector.damaged();
    } while (more && (next.empty() || next.top() < Next{reading.head.at_us, rank}));
    part.input->report.error = reading.error();
    if (more)
      next.push({reading.head.at_us, rank});
    else
      part.reading.reset();
  }
  dissector.finish();
}

}  // namespace smtpscope
