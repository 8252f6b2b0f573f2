#include "capture/recording/pcapng_reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "capture/recording/pcapng_writer.h"

namespace smtpscope {
namespace {

using nlohmann::json;

constexpr uint32_t kSectionHeader = 0x0A0D0D0A, kByteOrder = 0x1A2B3C4D, kEnhancedPacket = 6;
constexpr uint32_t kMaxBlock = 1 << 20;
constexpr uint32_t kWindow = 1U << 31;              // further ahead is behind (RFC 9293 3.4)
constexpr uint64_t kMaxStream = uint64_t{1} << 62;  // a longer one is forged
constexpr size_t kMaxSamples = 64;
constexpr size_t kMaxOverlapping = 64;  // sessions of one address pair that have no end yet; older ones are dropped

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

struct End {
  std::array<uint8_t, 16> ip{};
  uint16_t port = 0;
  auto operator<=>(const End&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 errs
};

struct Packet {
  End from, to;
  uint32_t sequence = 0, acknowledged = 0;
  uint8_t flags = 0;
  uint64_t at_us = 0;
  std::string_view payload, comment;
};

/// The packet in an enhanced packet block's body, none if it is not a whole TCP packet of ours.
std::optional<Packet> parse_packet(std::string_view body) {
  if (body.size() < 20) return std::nullopt;
  Packet p;
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
  f.filter = text(j, "filter");
  f.body_policy = text(j, "body_policy");
  f.body_limit = number<uint64_t>(j, "body_limit");
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
  return c;
}

std::optional<LegTransport> leg_of(const json& j, const std::string& side) {
  if (!j.contains(side + "rtt_us")) return std::nullopt;
  const auto value = [&](const char* key) { return number<uint32_t>(j, (side + key).c_str()); };
  return LegTransport{value("rtt_us"), value("retransmits"), value("mss"),         value("unacked"),
                      value("unsent"), value("window"),      value("out_of_order")};
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

/// Both, if the second follows the first; else the second.
ByteRange joined(const ByteRange& first, const ByteRange& second) {
  if (first.length == 0 || first.offset + first.length != second.offset) return second;
  return {first.offset, first.length + second.length};
}

class Reader {
 public:
  explicit Reader(const OnRecord& on_record) : on_record_(on_record) {}

  void packet(const Packet& p, ByteRange block) {
    json comment;
    std::string kind;
    if (!p.comment.empty()) {
      comment = json::parse(p.comment, nullptr, false);
      if (comment.is_object()) kind = text(comment, "smtpscope");
    }
    if (kind == "session/1") return open(p, comment, block);
    const auto found = find(p);
    if (!found) {
      ++ignored;
      return;
    }
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
      if (length > kMaxStream || offset > kMaxStream) return void(++ignored);
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
    } else if (kind == "end/1") {
      SessionEnd end = end_of(comment);
      end.samples = std::move(flow.samples);
      end.ptr = std::move(flow.ptr);
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
  }

  uint64_t ignored = 0;

 private:
  struct Flow {
    uint64_t number;
    int64_t started_us;
    std::array<uint32_t, 2> isn;
    uint64_t next[2];  ///< sequence numbers used so far, SYN and FIN included
    std::vector<PathSample> samples{};
    std::optional<ReverseLookUp> ptr{};
    ByteRange evidence{};  ///< blocks of samples and look-up, which belong to the session's end

    uint32_t sequence(size_t side) const { return static_cast<uint32_t>(isn[side] + next[side]); }
    /// Of the side's next byte; its SYN may be missing (the gateway was never reached).
    uint64_t offset(size_t side) const { return next[side] == 0 ? 0 : next[side] - 1; }
  };
  using Key = std::pair<End, End>;
  struct Found {
    Key key;
    size_t index;
    From from;
  };

  void open(const Packet& p, const json& comment, ByteRange block) {
    const SessionFacts facts = facts_of(comment);
    auto& flows = flows_[{p.from, p.to}];
    if (flows.size() == kMaxOverlapping) flows.erase(flows.begin());
    flows.push_back({numbered_, facts.started_us, {p.sequence, initial_sequences(facts.id)[1]}, {1, 0}});
    on_record_(numbered_++, facts, block);
  }

  /// The session a packet belongs to: of those with its addresses, the one whose next sequence numbers are nearest
  /// behind it. Without damage they are the packet's own.
  std::optional<Found> find(const Packet& p) const {
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

  const OnRecord& on_record_;
  std::map<Key, std::vector<Flow>> flows_;
  uint64_t numbered_ = 0;
};

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
  Reader reader(on_record);
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
      if (const auto packet = parse_packet(file.substr(at + 8, length - 12))) reader.packet(*packet, {at, length});
    at += length;
    report.whole_bytes = at;
  }
  report.ignored_packets = reader.ignored;
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
