#include "capture/recording/recorded_packets.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "capture/recording/pcapng_writer.h"

namespace smtpscope {
namespace {

using nlohmann::json;

constexpr uint32_t kWindow = 1U << 31;              // further ahead is behind (RFC 9293 3.4)
constexpr uint64_t kMaxStream = uint64_t{1} << 62;  // a longer one is forged
constexpr size_t kMaxSamples = 64;
constexpr size_t kMaxOverlapping = 64;  // sessions of one address pair that have no end yet; older ones are dropped

/// A text member. The writer spells every byte outside of ASCII as one \u00XX, so each code point is a byte again.
std::string text(const json& j, const char* key) {
  const auto it = j.find(key);
  if (it == j.end() || !it->is_string()) return {};
  const auto& utf8 = it->get_ref<const std::string&>();
  std::string bytes;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<uint8_t>(utf8[i]);
    const bool latin1 = (byte == 0xc2 || byte == 0xc3) && i + 1 < utf8.size();
    bytes += latin1 ? static_cast<char>((byte & 3) << 6 | (static_cast<uint8_t>(utf8[++i]) & 0x3f)) : utf8[i];
  }
  return bytes;
}
template <class T>
T number(const json& j, const char* key) {
  const auto it = j.find(key);
  return it != j.end() && it->is_number_integer() ? it->get<T>() : T{};
}

bool flag(const json& j, const char* key) {
  const auto it = j.find(key);
  return it != j.end() && it->is_boolean() && it->get<bool>();
}

SessionFacts facts_of(const json& j) {
  SessionFacts f;
  f.id = text(j, "id");
  f.icid = number<uint64_t>(j, "icid");
  f.instance = text(j, "instance");
  f.started_us = number<int64_t>(j, "started_us");
  f.sender = {text(j, "sender_ip"), number<uint16_t>(j, "sender_port")};
  f.gateway = {text(j, "gateway_ip"), number<uint16_t>(j, "gateway_port")};
  f.sees = text(j, "sees");
  if (j.contains("via_ip")) f.via = Endpoint{text(j, "via_ip"), number<uint16_t>(j, "via_port")};
  f.header = text(j, "header");
  f.sees_port = number<uint16_t>(j, "sees_port");
  f.filter = text(j, "filter");
  f.body_policy = text(j, "body_policy");
  f.body_limit = number<uint64_t>(j, "body_limit");
  f.begins_late = flag(j, "begins_late");
  if (j.contains("syn_ttl"))
    f.syn =
        SynFacts{number<uint8_t>(j, "syn_ttl"), number<uint16_t>(j, "syn_mss"), number<int8_t>(j, "syn_window_scale"),
                 flag(j, "syn_sack"),           flag(j, "syn_timestamps"),      flag(j, "syn_ecn")};
  return f;
}

GatewayConnect connect_of(const json& j) {
  GatewayConnect c;
  const std::string state = text(j, "state");
  c.state = state == "connected" ? GatewayConnect::State::connected
            : state == "failed"  ? GatewayConnect::State::failed
                                 : GatewayConnect::State::pending;
  c.at_us = number<int64_t>(j, "at_us");
  c.took_us = number<int64_t>(j, "took_us");
  c.error = text(j, "error");
  c.icmp = {text(j, "icmp_from"), text(j, "icmp")};
  return c;
}

std::optional<LegTransport> leg_of(const json& j, const std::string& side) {
  if (!j.contains(side + "rtt_us")) return std::nullopt;
  const auto value = [&](const char* key) { return number<uint32_t>(j, (side + key).c_str()); };
  return LegTransport{value("rtt_us"), value("retransmits"), value("mss"),          value("unacked"),
                      value("unsent"), value("window"),      value("out_of_order"), value("sacked")};
}

PathSample sample_of(const json& j) {
  return {number<int64_t>(j, "at_us"), leg_of(j, "sender_"), leg_of(j, "gateway_")};
}

ReverseLookUp reverse_of(const json& j) {
  return {text(j, "status"),
          text(j, "name"),
          text(j, "forward_status"),
          flag(j, "verified"),
          number<int64_t>(j, "name_us"),
          number<int64_t>(j, "forward_us")};
}

/// Both, if the second follows the first; else the second.
ByteRange joined(const ByteRange& first, const ByteRange& second) {
  if (first.length == 0 || first.offset + first.length != second.offset) return second;
  return {first.offset, first.length + second.length};
}

SessionEnd end_of(const json& j) {
  SessionEnd e;
  e.at_us = number<int64_t>(j, "at_us");
  e.sender_stream = {number<uint64_t>(j, "sender_bytes"), text(j, "sender_xxh128")};
  e.gateway_stream = {number<uint64_t>(j, "gateway_bytes"), text(j, "gateway_xxh128")};
  e.sender_leg = leg_of(j, "sender_");
  e.gateway_leg = leg_of(j, "gateway_");
  e.proxy_cause = text(j, "proxy_cause");
  e.capture_loss = text(j, "capture_loss");
  e.interrupted = flag(j, "interrupted");
  return e;
}

}  // namespace

bool RecordedPackets::packet(const RecordedPacket& p, ByteRange block) {
  json comment;
  std::string kind;
  if (!p.comment.empty()) {
    comment = json::parse(p.comment, nullptr, false);
    if (comment.is_object()) kind = text(comment, "smtpscope");
  }
  if (kind == "session/1") {
    open(p, facts_of(comment), block);
    return true;
  }
  const auto found = find(p);
  if (!found) return false;
  const auto [key, index, from] = *found;
  Flow& flow = flows_[key][index];
  // A forged time or offset wraps instead of overflowing.
  const auto at_us = static_cast<int64_t>(p.at_us - static_cast<uint64_t>(flow.started_us));
  const size_t side = from == From::sender ? 0 : 1;
  uint64_t& next = flow.next[side];
  const uint32_t missing = p.sequence - flow.sequence(side);
  if (missing != 0) {
    on_record_(flow.number, Hole{from, at_us, flow.offset(side), missing, "lost"}, block);
    next += missing;
  }
  const uint64_t offset = flow.offset(side);
  if (kind == "connect/1") {
    if (p.flags & 2) next = 1;
    on_record_(flow.number, connect_of(comment), block);
  } else if (kind == "hole/1") {
    const auto length = number<uint64_t>(comment, "length");
    if (length > kMaxStream || offset > kMaxStream) return false;
    on_record_(flow.number, Hole{from, at_us, offset, length, text(comment, "reason")}, block);
    next += length;
  } else if (kind == "close/1") {
    on_record_(flow.number,
               Closed{from_of(text(comment, "from")).value_or(From::proxy), at_us,
                      close_how_of(text(comment, "how")).value_or(CloseHow::fin)},
               block);
  } else if (kind == "path/1") {
    if (flow.samples.size() < kMaxSamples) flow.samples.push_back(sample_of(comment));
    flow.evidence = joined(flow.evidence, block);
  } else if (kind == "dns/1") {
    flow.ptr = reverse_of(comment);
    flow.evidence = joined(flow.evidence, block);
  } else if (kind == "ident/1") {
    flow.ident = {text(comment, "outcome"), number<int64_t>(comment, "query_us"), number<int64_t>(comment, "took_us")};
    flow.evidence = joined(flow.evidence, block);
  } else if (kind == "end/1") {
    SessionEnd end = end_of(comment);
    end.samples = std::move(flow.samples);
    end.ptr = std::move(flow.ptr);
    end.ident = std::move(flow.ident);
    on_record_(flow.number, end, joined(flow.evidence, block));
    auto& flows = flows_[key];
    flows.erase(flows.begin() + static_cast<std::ptrdiff_t>(index));
    if (flows.empty()) flows_.erase(key);
  } else if (!p.payload.empty()) {
    on_record_(flow.number, Chunk{from, at_us, offset, p.payload}, block);
    next += p.payload.size();
  } else if (p.flags & 5) {
    on_record_(flow.number, Closed{from, at_us, p.flags & 4 ? CloseHow::rst : CloseHow::fin}, block);
    if (p.flags & 1) ++next;
  }
  return true;
}

void RecordedPackets::open(const RecordedPacket& p, const SessionFacts& facts, ByteRange block) {
  auto& flows = flows_[{p.from, p.to}];
  if (flows.size() == kMaxOverlapping) flows.erase(flows.begin());
  flows.push_back({numbered_, facts.started_us, {p.sequence, initial_sequences(facts.id)[1]}, {1, 0}});
  on_record_(numbered_++, facts, block);
}

/// The session a packet belongs to: of those with its addresses, the one whose next sequence numbers are nearest
/// behind it. Without damage they are the packet's own.
std::optional<RecordedPackets::Found> RecordedPackets::find(const RecordedPacket& p) const {
  std::optional<Found> best;
  uint64_t best_distance = UINT64_MAX;
  for (From from : {From::sender, From::gateway}) {
    const Key key = from == From::sender ? Key{p.from, p.to} : Key{p.to, p.from};
    const auto it = flows_.find(key);
    if (it == flows_.end()) continue;
    const size_t side = from == From::sender ? 0 : 1;
    for (size_t i = 0; i < it->second.size(); ++i) {
      const Flow& flow = it->second[i];
      const uint32_t missing = p.sequence - flow.sequence(side);
      const uint32_t peer_missing = p.acknowledged - flow.sequence(1 - side);
      if (missing >= kWindow || peer_missing >= kWindow) continue;
      if (const uint64_t distance = uint64_t{missing} + peer_missing; distance < best_distance)
        best_distance = distance, best = Found{key, i, from};
    }
  }
  return best;
}

}  // namespace smtpscope
