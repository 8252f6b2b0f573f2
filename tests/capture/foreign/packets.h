// Packets and capture files made by hand, and what read_capture makes of them.
#pragma once

#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "capture/foreign/capture_file.h"
#include "capture/foreign/session_collector.h"

namespace smtpscope::test {

constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPush = 8, kAck = 16;

inline std::string be16(size_t v) { return {static_cast<char>(v >> 8 & 0xff), static_cast<char>(v & 0xff)}; }
inline std::string be32(size_t v) { return be16(v >> 16 & 0xffff) + be16(v & 0xffff); }
inline std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

struct Packet {
  std::string bytes;   ///< from the IP header on
  int64_t at_us = 0;   ///< Unix time
  size_t on_wire = 0;  ///< 0: all of it was captured
};

inline std::string tcp_header(uint16_t from, uint16_t to, uint32_t sequence, uint32_t ack, uint8_t flags) {
  return be16(from) + be16(to) + be32(sequence) + be32(ack) + bytes({0x50, flags, 0xff, 0xff, 0, 0, 0, 0});
}
/// `fragment`: the 16 bits of flags and offset.
inline std::string ipv4(const std::string& from, const std::string& to, const std::string& payload,
                        size_t fragment = 0x4000, size_t id = 0, const std::string& options = "") {
  return bytes({static_cast<int>(0x45 + options.size() / 4), 0}) + be16(20 + options.size() + payload.size()) +
         be16(id) + be16(fragment) + bytes({64, 6, 0, 0}) + from + to + options + payload;
}
inline std::string ipv6(const std::string& from, const std::string& to, const std::string& payload, int next = 6) {
  return bytes({0x60, 0, 0, 0}) + be16(payload.size()) + bytes({next, 64}) + from + to + payload;
}

/// One connection, said step by step; sequence numbers are kept.
class Talk {
 public:
  explicit Talk(uint16_t sender_port = 40000, uint16_t gateway_port = 25, bool v6 = false)
      : ports_{sender_port, gateway_port}, v6_(v6) {}

  /// Side 0 is the sender, 1 the gateway.
  Talk& add(size_t side, uint8_t flags, const std::string& payload = "") {
    packets.push_back(make(side, flags, next[side], payload));
    next[side] += static_cast<uint32_t>(payload.size()) + ((flags & (kSyn | kFin)) != 0 ? 1U : 0U);
    return *this;
  }
  Packet make(size_t side, uint8_t flags, uint32_t sequence, const std::string& payload) {
    now_us += 1000;
    const std::string tcp =
        tcp_header(ports_[side], ports_[1 - side], sequence, (flags & kAck) != 0 ? next[1 - side] : 0, flags) + payload;
    const std::array<std::string, 2> v4{bytes({192, 0, 2, 7}), bytes({198, 51, 100, 25})};
    const std::array<std::string, 2> v6{bytes({0x20, 1, 0xd, 0xb8}) + std::string(11, '\0') + "\x07",
                                        bytes({0x20, 1, 0xd, 0xb8}) + std::string(11, '\0') + "\x19"};
    return {v6_ ? ipv6(v6[side], v6[1 - side], tcp) : ipv4(v4[side], v4[1 - side], tcp), now_us, 0};
  }
  Talk& open() { return add(0, kSyn).add(1, kSyn | kAck).add(0, kAck); }
  Talk& gateway(const std::string& text) { return add(1, kPush | kAck, text); }
  Talk& sender(const std::string& text) { return add(0, kPush | kAck, text); }
  Talk& fins() { return add(0, kFin | kAck).add(1, kFin | kAck).add(0, kAck); }
  /// A whole session with one message.
  Talk& session() {
    open().gateway("220 gw.example ESMTP\r\n").sender("EHLO a.example\r\n").gateway("250 gw.example\r\n");
    sender("MAIL FROM:<a@a.example>\r\n")
        .gateway("250 ok\r\n")
        .sender("RCPT TO:<b@gw.example>\r\n")
        .gateway("250 ok\r\n");
    sender("DATA\r\n").gateway("354 go\r\n").sender("Subject: x\r\n\r\nhello\r\n.\r\n").gateway("250 ok\r\n");
    return sender("QUIT\r\n").gateway("221 bye\r\n").fins();
  }

  std::vector<Packet> packets;
  std::array<uint32_t, 2> next{1000, 5'000'000};
  int64_t now_us = 1'700'000'000'000'000;

 private:
  std::array<uint16_t, 2> ports_;
  bool v6_;
};

/// A number in the byte order of the file to be made.
template <class T>
std::string number(T value, bool big) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return big ? std::string(out.rbegin(), out.rend()) : out;
}

inline std::string pcap(const std::vector<Packet>& packets, uint32_t link = 101, const std::string& link_header = "",
                        bool big = false, bool nano = false) {
  std::string out = number<uint32_t>(nano ? 0xA1B23C4D : 0xA1B2C3D4, big) + number<uint16_t>(2, big) +
                    number<uint16_t>(4, big) + std::string(8, '\0') + number<uint32_t>(262'144, big) +
                    number<uint32_t>(link, big);
  for (const Packet& p : packets) {
    const auto size = static_cast<uint32_t>(link_header.size() + p.bytes.size());
    out += number(static_cast<uint32_t>(p.at_us / 1'000'000), big) +
           number(static_cast<uint32_t>(p.at_us % 1'000'000 * (nano ? 1000 : 1)), big) + number(size, big) +
           number(p.on_wire > 0 ? static_cast<uint32_t>(link_header.size() + p.on_wire) : size, big) + link_header +
           p.bytes;
  }
  return out;
}

inline ReadBytes from_memory(std::string_view content, size_t piece = 1 << 16) {
  return [content, piece](char* to, size_t size) mutable -> std::ptrdiff_t {
    const size_t n = std::min({size, piece, content.size()});
    std::memcpy(to, content.data(), n);
    content.remove_prefix(n);
    return static_cast<std::ptrdiff_t>(n);
  };
}

inline std::vector<Transcript> analyzed(std::string_view file, CaptureReport* report = nullptr,
                                        size_t piece = 1 << 16) {
  std::vector<Transcript> found;
  SessionCollector collector([&](Transcript&& t) { found.push_back(std::move(t)); }, nullptr);
  ByteSource source(from_memory(file, piece));
  const CaptureReport r = read_capture(source, collector);
  collector.finish();
  if (report != nullptr) *report = r;
  return found;
}

/// What was said, in order: "S EHLO a.example", "G 250 gw.example", "S fin".
inline std::vector<std::string> said(const Transcript& t) {
  std::vector<std::string> lines;
  for (const Event& e : t.events) {
    const std::string who = e.from == From::sender ? "S " : e.from == From::gateway ? "G " : "- ";
    if (e.kind == Event::Kind::close)
      lines.push_back(who + std::string(name(e.how)));
    else if (e.kind == Event::Kind::body)
      lines.push_back(who + "body " + std::to_string(e.bytes));
    else if (e.kind != Event::Kind::connect)
      lines.push_back(who + e.text);
  }
  return lines;
}

}  // namespace smtpscope::test
