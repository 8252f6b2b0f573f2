#include "capture/recording/pcapng_writer.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace smtpscope {
namespace {

constexpr uint32_t kSectionHeader = 0x0A0D0D0A, kInterface = 1, kEnhancedPacket = 6;
constexpr uint16_t kLinkTypeRaw = 101, kOptComment = 1, kOptUserAppl = 4, kOptTsResol = 9;
constexpr uint32_t kSnapLength = 262'144;
constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

size_t padded(size_t length) { return (length + 3) / 4 * 4; }

void pad(std::string& out, size_t length) { out.append(padded(length) - length, '\0'); }

void put_option(std::string& out, uint16_t code, std::string_view value) {
  put<uint16_t>(out, code);
  put<uint16_t>(out, static_cast<uint16_t>(value.size()));
  out.append(value);
  pad(out, value.size());
}

/// Writes the block's length at both ends once its body stands.
void close_block(std::string& out, size_t begin) {
  const auto length = static_cast<uint32_t>(out.size() - begin + 4);
  std::memcpy(out.data() + begin + 4, &length, 4);
  put<uint32_t>(out, length);
}

/// Ones' complement sum over big-endian 16-bit words (RFC 1071), as 32-bit words in a 64-bit sum, so that no carry is
/// lost below 16 GiB and compilers use vectors; only the last part may be odd.
inline __attribute__((always_inline)) uint64_t sum(std::string_view bytes, uint64_t total) {
  const size_t words = bytes.size() / 4;
  for (size_t i = 0; i < words; ++i) {
    uint32_t word = 0;
    std::memcpy(&word, bytes.data() + 4 * i, 4);
    total += word;
  }
  if (const size_t left = bytes.size() % 4; left > 0) {
    uint32_t word = 0;
    std::memcpy(&word, bytes.data() + 4 * words, left);
    total += word;
  }
  return total;
}

// Of a payload: where the processor has vectors of 32 bytes, it takes half as long.
#if defined(__x86_64__)
__attribute__((target("avx2"))) uint64_t wide_sum(std::string_view bytes, uint64_t total) { return sum(bytes, total); }
uint64_t plain_sum(std::string_view bytes, uint64_t total) { return sum(bytes, total); }
const auto sum_of_payload = __builtin_cpu_supports("avx2") ? wide_sum : plain_sum;
#else
uint64_t sum_of_payload(std::string_view bytes, uint64_t total) { return sum(bytes, total); }
#endif

uint16_t fold(uint64_t total) {
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return static_cast<uint16_t>(~total);
}

/// One flat JSON object, appended member by member.
class Json {
 public:
  explicit Json(std::string_view kind) {
    out_.reserve(512);  // most are shorter: one piece of memory for each
    text("smtpscope", kind);
  }
  Json& text(std::string_view key, std::string_view value) {
    name(key);
    out_ += '"';
    for (char c : value) {
      constexpr std::string_view kHex = "0123456789abcdef";
      const auto byte = static_cast<uint8_t>(c);
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (byte < 0x20 || byte >= 0x7f) {
        out_ += "\\u00";
        out_ += kHex[byte >> 4];
        out_ += kHex[byte & 15];
      } else {
        out_ += c;
      }
    }
    out_ += '"';
    return *this;
  }
  template <class T>
  Json& number(std::string_view key, T value) {
    name(key);
    char digits[24];
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    return *this;
  }
  Json& flag(std::string_view key, bool value) {
    name(key);
    out_ += value ? "true" : "false";
    return *this;
  }
  std::string_view done() {
    out_ += '}';
    return out_;
  }

 private:
  void name(std::string_view key) {
    out_ += out_.empty() ? "{\"" : ",\"";
    out_ += key;
    out_ += "\":";
  }
  std::string out_;
};

void put_legs(Json& json, const std::optional<LegTransport>& sender, const std::optional<LegTransport>& gateway) {
  const auto leg = [&](const std::optional<LegTransport>& t, const std::array<std::string_view, 8>& keys) {
    if (!t) return;
    json.number(keys[0], t->rtt_us).number(keys[1], t->retransmits).number(keys[2], t->mss);
    if (t->troubled())
      json.number(keys[3], t->unacked)
          .number(keys[4], t->unsent)
          .number(keys[5], t->window)
          .number(keys[6], t->out_of_order)
          .number(keys[7], t->sacked);
  };
  leg(sender, {"sender_rtt_us", "sender_retransmits", "sender_mss", "sender_unacked", "sender_unsent", "sender_window",
               "sender_out_of_order", "sender_sacked"});
  leg(gateway, {"gateway_rtt_us", "gateway_retransmits", "gateway_mss", "gateway_unacked", "gateway_unsent",
                "gateway_window", "gateway_out_of_order", "gateway_sacked"});
}

/// What stands in a packet header; an IPv4 end of a mixed pair stands as a mapped address.
AddressBytes header_bytes(const std::string& ip, bool v6) {
  AddressBytes bytes = address_bytes(ip).value_or(AddressBytes{});
  if (!v6) std::copy(bytes.begin() + 12, bytes.end(), bytes.begin());
  return bytes;
}

size_t side(From from) { return from == From::gateway ? 1 : 0; }

using HeaderBytes = std::array<uint8_t, 60>;

void put16(HeaderBytes& header, size_t offset, size_t value) {
  header[offset] = static_cast<uint8_t>(value >> 8);
  header[offset + 1] = static_cast<uint8_t>(value);
}

void put32(HeaderBytes& header, size_t offset, uint32_t value) {
  put16(header, offset, value >> 16);
  put16(header, offset + 2, value & 0xffff);
}

std::string_view view_of(const HeaderBytes& header, size_t offset, size_t size) {
  return {reinterpret_cast<const char*>(&header[offset]), size};
}

}  // namespace

void append_section(std::string& out) {
  const size_t section = out.size();
  put<uint32_t>(out, kSectionHeader);
  put<uint32_t>(out, 0);
  put<uint32_t>(out, 0x1A2B3C4D);
  put<uint16_t>(out, 1);
  put<uint16_t>(out, 0);
  put<int64_t>(out, -1);
  put_option(out, kOptUserAppl, "smtpscope");
  put<uint32_t>(out, 0);
  close_block(out, section);
  const size_t interface = out.size();
  put<uint32_t>(out, kInterface);
  put<uint32_t>(out, 0);
  put<uint16_t>(out, kLinkTypeRaw);
  put<uint16_t>(out, 0);
  put<uint32_t>(out, kSnapLength);
  put_option(out, kOptTsResol, std::string_view("\x06", 1));
  put<uint32_t>(out, 0);
  close_block(out, interface);
}

std::array<uint32_t, 2> initial_sequences(std::string_view session_id) {
  // FNV-1a; then MurmurHash3's finalizer, as ids made one after the other differ in their last letters only.
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : session_id) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
  hash ^= hash >> 33;
  return {static_cast<uint32_t>(hash), static_cast<uint32_t>(hash >> 32)};
}

PcapngFlow::PcapngFlow(const SessionFacts& facts)
    : started_us_(facts.started_us),
      v6_(facts.sender.ip.find(':') != std::string::npos || facts.gateway.ip.find(':') != std::string::npos) {
  const std::array address{header_bytes(facts.sender.ip, v6_), header_bytes(facts.gateway.ip, v6_)};
  const std::array port{facts.sender.port, facts.gateway.port};
  for (const size_t from : {size_t{0}, size_t{1}})
    make_headers(from, address[from], address[1 - from], port[from], port[1 - from]);
  isn_ = initial_sequences(facts.id);
}

/// What all packets of one side have in common, with the sums of it.
void PcapngFlow::make_headers(size_t from, const AddressBytes& source, const AddressBytes& destination,
                              uint16_t source_port, uint16_t destination_port) {
  Headers& h = headers_[from];
  const size_t address_size = v6_ ? 16 : 4, source_at = v6_ ? 8 : 12;
  std::memcpy(&h.bytes[source_at], source.data(), address_size);
  std::memcpy(&h.bytes[source_at + address_size], destination.data(), address_size);
  const size_t tcp = ip_header();
  put16(h.bytes, tcp, source_port);
  put16(h.bytes, tcp + 2, destination_port);
  h.bytes[tcp + 12] = 5 << 4;
  put16(h.bytes, tcp + 14, 0xffff);
  if (v6_) {
    h.bytes[0] = 0x60;
    h.bytes[6] = kProtocolTcp;
    h.bytes[7] = 64;
  } else {
    h.bytes[0] = 0x45;
    h.bytes[6] = 0x40;  // don't fragment
    h.bytes[8] = 64;
    h.bytes[9] = kProtocolTcp;
    h.ip_sum = sum(view_of(h.bytes, 4, 16), 0);
  }
  // The pseudo header (but for the length), and the ports.
  constexpr char kPseudo[4] = {0, 0, 0, kProtocolTcp};
  h.tcp_sum = sum({kPseudo, sizeof kPseudo}, sum(view_of(h.bytes, source_at, 2 * address_size), 0));
  h.tcp_sum = sum(view_of(h.bytes, tcp, 4), h.tcp_sum);
}

uint32_t PcapngFlow::sequence(size_t side) const { return static_cast<uint32_t>(isn_[side] + next_[side]); }

void PcapngFlow::packet(std::string& out, const Packet& p) const {
  const size_t from = side(p.from), to = 1 - from;
  const size_t tcp = ip_header();
  const size_t tcp_length = 20 + p.payload.size();
  const size_t length = tcp + tcp_length;
  const Headers& common = headers_[from];
  std::array<uint8_t, 60> header = common.bytes;
  if (v6_) {
    put16(header, 4, tcp_length);
  } else {
    put16(header, 2, length);
    const uint16_t checksum = fold(sum(view_of(header, 0, 4), common.ip_sum));
    std::memcpy(&header[10], &checksum, 2);
  }
  put32(header, tcp + 4, sequence(from));
  if (p.flags & kAck) put32(header, tcp + 8, sequence(to));
  header[tcp + 13] = p.flags;
  const std::array<char, 4> counted{static_cast<char>(tcp_length >> 8), static_cast<char>(tcp_length), 0, 0};
  uint64_t total = sum({counted.data(), counted.size()}, common.tcp_sum);
  total = sum(view_of(header, tcp + 4, 12), total);  // sequence numbers, flags, window
  const uint16_t checksum = fold(sum_of_payload(p.payload, total));
  std::memcpy(&header[tcp + 16], &checksum, 2);

  const std::string_view comment = p.comment.substr(0, 0xfff0);
  const size_t options = comment.empty() ? 0 : 4 + padded(comment.size()) + 4;
  const auto at = static_cast<uint64_t>(started_us_ + p.at_us);
  const auto block = static_cast<uint32_t>(28 + padded(length) + options + 4);
  const std::array<uint32_t, 7> head{kEnhancedPacket,
                                     block,
                                     0,  // interface
                                     static_cast<uint32_t>(at >> 32),
                                     static_cast<uint32_t>(at),
                                     static_cast<uint32_t>(length),
                                     static_cast<uint32_t>(length)};
  std::array<char, sizeof head + sizeof header> front;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  std::memcpy(front.data(), head.data(), sizeof head);
  std::memcpy(front.data() + sizeof head, header.data(), sizeof header);
  out.append(front.data(), sizeof head + tcp + 20);
  out.append(p.payload);
  pad(out, length);
  if (!comment.empty()) {
    put_option(out, kOptComment, comment);
    put<uint32_t>(out, 0);
  }
  put<uint32_t>(out, block);
}

void PcapngFlow::open(std::string& out, const SessionFacts& facts) {
  Json json("session/1");
  json.text("id", facts.id).number("icid", facts.icid).text("instance", facts.instance);
  json.number("started_us", facts.started_us)
      .text("sender_ip", facts.sender.ip)
      .number("sender_port", facts.sender.port);
  json.text("gateway_ip", facts.gateway.ip).number("gateway_port", facts.gateway.port).text("sees", facts.sees);
  if (facts.via) json.text("via_ip", facts.via->ip).number("via_port", facts.via->port);
  if (!facts.header.empty()) json.text("header", facts.header);
  if (facts.sees_port != 0) json.number("sees_port", facts.sees_port);
  json.text("filter", facts.filter).text("body_policy", facts.body_policy).number("body_limit", facts.body_limit);
  if (const auto& syn = facts.syn)
    json.number("syn_ttl", int{syn->ttl})
        .number("syn_mss", syn->mss)
        .number("syn_window_scale", int{syn->window_scale})
        .flag("syn_sack", syn->sack)
        .flag("syn_timestamps", syn->timestamps)
        .flag("syn_ecn", syn->ecn);
  if (facts.begins_late) json.flag("begins_late", true);
  packet(out, {From::sender, kSyn, 0, {}, json.done()});
  ++next_[0];
}

void PcapngFlow::connected(std::string& out, const GatewayConnect& connect) {
  const bool ok = connect.state == GatewayConnect::State::connected;
  Json json("connect/1");
  json.text("state", ok ? "connected" : connect.state == GatewayConnect::State::failed ? "failed" : "pending");
  json.number("at_us", connect.at_us).number("took_us", connect.took_us).text("error", connect.error);
  if (!connect.icmp.from.empty()) json.text("icmp_from", connect.icmp.from).text("icmp", connect.icmp.says);
  const auto flags = static_cast<uint8_t>(ok ? kSyn | kAck : kRst | kAck);
  packet(out, {From::gateway, flags, connect.at_us, {}, json.done()});
  if (!ok) return;
  ++next_[1];
  packet(out, {From::sender, kAck, connect.at_us, {}, {}});
}

void PcapngFlow::data(std::string& out, From from, int64_t at_us, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view payload = bytes.substr(0, kMaxPayload);
    packet(out, {from, kPsh | kAck, at_us, payload, {}});
    next_[side(from)] += payload.size();
    bytes.remove_prefix(payload.size());
  }
}

void PcapngFlow::hole(std::string& out, const Hole& hole) {
  Json json("hole/1");
  json.text("from", name(hole.from))
      .number("offset", hole.offset)
      .number("length", hole.length)
      .text("reason", hole.reason);
  packet(out, {hole.from, kAck, hole.at_us, {}, json.done()});
  next_[side(hole.from)] += hole.length;
}

void PcapngFlow::close(std::string& out, const Closed& closed) {
  if (closed.from == From::proxy || closed.how == CloseHow::timeout) {
    Json json("close/1");
    json.text("from", name(closed.from)).text("how", name(closed.how));
    packet(out, {closed.from, kAck, closed.at_us, {}, json.done()});
    return;
  }
  const bool fin = closed.how == CloseHow::fin;
  packet(out, {closed.from, static_cast<uint8_t>((fin ? kFin : kRst) | kAck), closed.at_us, {}, {}});
  if (fin) ++next_[side(closed.from)];
}

void PcapngFlow::end(std::string& out, const SessionEnd& end) {
  for (const PathSample& sample : end.samples) {
    Json path("path/1");
    path.number("at_us", sample.at_us);
    put_legs(path, sample.sender, sample.gateway);
    packet(out, {From::sender, kAck, end.at_us, {}, path.done()});
  }
  if (const auto& ptr = end.ptr) {
    Json dns("dns/1");
    dns.text("status", ptr->status).text("name", ptr->name).text("forward_status", ptr->forward_status);
    dns.flag("verified", ptr->verified).number("name_us", ptr->name_us).number("forward_us", ptr->forward_us);
    packet(out, {From::sender, kAck, end.at_us, {}, dns.done()});
  }
  if (const auto& ident = end.ident) {
    Json query("ident/1");
    query.text("outcome", ident->outcome).number("query_us", ident->at_us).number("took_us", ident->took_us);
    packet(out, {From::sender, kAck, end.at_us, {}, query.done()});
  }
  Json json("end/1");
  json.number("at_us", end.at_us);
  json.number("sender_bytes", end.sender_stream.bytes).text("sender_xxh128", end.sender_stream.xxh128);
  json.number("gateway_bytes", end.gateway_stream.bytes).text("gateway_xxh128", end.gateway_stream.xxh128);
  put_legs(json, end.sender_leg, end.gateway_leg);
  json.text("proxy_cause", end.proxy_cause).text("capture_loss", end.capture_loss).flag("interrupted", end.interrupted);
  packet(out, {From::sender, kAck, end.at_us, {}, json.done()});
}

}  // namespace smtpscope
