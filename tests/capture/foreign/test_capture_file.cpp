// Files and layers below TCP: both byte orders, each link type, fragments, extension headers, a file cut at every byte;
// and our own recordings, with and without their comments.
#include <functional>

#include "capture/recording/pcapng_writer.h"
#include "capture/recording/session_recorder.h"
#include "capture/transcript/json_writer.h"
#include "tests/capture/foreign/packets.h"
#include "tests/catch.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

/// The whole session of Talk, as it is in every form of the file.
void check_whole(const std::string& file) {
  CaptureReport report;
  const auto found = analyzed(file, &report);
  CHECK(report.error.empty());
  REQUIRE(found.size() == 1);
  CHECK(found[0].verdict == Verdict::delivered);
  CHECK(found[0].complete);
  CHECK(found[0].events.size() == 16);
  CHECK(found[0].sender_stream.bytes == 101);
  CHECK(found[0].session.started_us == 1'700'000'000'001'000);
  CHECK(found[0].connect.took_us == 1000);
}

std::vector<Packet> session(bool v6 = false) { return Talk(40000, 25, v6).session().packets; }

std::string block(uint32_t type, std::string body, bool big) {
  body.resize((body.size() + 3) / 4 * 4);
  const auto length = static_cast<uint32_t>(body.size() + 12);
  return number(type, big) + number(length, big) + body + number(length, big);
}

std::string section(bool big, uint8_t resolution, int64_t offset_s, uint32_t snap = 0) {
  const auto option = [&](uint16_t code, std::string value) {
    const auto size = static_cast<uint16_t>(value.size());
    value.resize((value.size() + 3) / 4 * 4);
    return number(code, big) + number(size, big) + value;
  };
  return block(0x0A0D0D0A,
               number<uint32_t>(0x1A2B3C4D, big) + number<uint32_t>(big ? 0x00010000 : 1, big) + std::string(8, '\xff'),
               big) +
         block(1, number<uint16_t>(1, big) + std::string(6, '\0'), big) +
         block(1,
               number<uint16_t>(101, big) + number<uint16_t>(0, big) + number(snap, big) +
                   option(9, std::string(1, static_cast<char>(resolution))) + option(14, number(offset_s, big)) +
                   option(0, ""),
               big);
}

std::string enhanced(const Packet& p, uint64_t ticks, bool big, bool old = false) {
  const auto size = static_cast<uint32_t>(p.bytes.size());
  const std::string interface = old ? number<uint16_t>(1, big) + number<uint16_t>(0, big) : number<uint32_t>(1, big);
  return block(old ? 2 : 6,
               interface + number(static_cast<uint32_t>(ticks >> 32), big) + number(static_cast<uint32_t>(ticks), big) +
                   number(size, big) + number(size, big) + p.bytes,
               big);
}

}  // namespace

TEST_CASE("pcap in both byte orders, with micro- and nanoseconds") {
  for (const bool big : {false, true})
    for (const bool nano : {false, true}) check_whole(pcap(session(), 101, "", big, nano));
}

TEST_CASE("every link type") {
  const std::string macs(12, '\x02');
  const std::string pppoe = bytes({0x11, 0, 0, 1, 0, 0});
  struct Link {
    uint32_t type;
    std::string header;
  };
  for (const bool v6 : {false, true}) {
    const std::string ip_type = v6 ? "\x86\xdd" : std::string("\x08\0", 2);
    const std::string ppp_type = v6 ? std::string("\0\x57", 2) : std::string("\0\x21", 2);
    const std::string vlan = std::string("\x81\0\0\x05", 4), service = std::string("\x88\xa8\0\x07", 4);
    for (const Link& link : std::vector<Link>{
             {1, macs + ip_type},
             {1, macs + vlan + ip_type},
             {1, macs + service + vlan + ip_type},
             {1, macs + "\x88\x64" + pppoe + ppp_type},
             {1, macs + "\x88\x47" + bytes({0, 1, 0, 64, 0, 2, 1, 64})},
             {1, macs + vlan + "\x88\x48" + bytes({0, 2, 1, 64})},
             {1, macs + bytes({1, 0, 0xaa, 0xaa, 3, 0, 0, 0}) + ip_type},
             {113, std::string(14, '\0') + bytes({0, 4, 0xaa, 0xaa, 3, 0, 0, 0}) + ip_type},
             {1, macs + vlan + "\x88\x64" + pppoe + ppp_type},
             {113, std::string(14, '\0') + ip_type},
             {276, ip_type + std::string(18, '\0')},
             {101, ""},
             {12, ""},
             {14, ""},
             {v6 ? 229U : 228U, ""},
             {0, v6 ? bytes({24, 0, 0, 0}) : bytes({2, 0, 0, 0})},
             {0, v6 ? bytes({0, 0, 0, 30}) : bytes({0, 0, 0, 2})},
             {108, v6 ? bytes({0, 0, 0, 24}) : bytes({0, 0, 0, 2})},
             {51, pppoe + ppp_type},
             {9, "\xff\x03" + ppp_type},
         }) {
      CAPTURE(link.type, link.header.size(), v6);
      check_whole(pcap(session(v6), link.type, link.header));
    }
  }
  CaptureReport report;
  CHECK(analyzed(pcap(session(), 147, ""), &report).empty());
  CHECK(report.unknown_packets == report.packets);
}

TEST_CASE("packets inside others") {
  const std::string v4_ends = bytes({192, 0, 2, 1}) + bytes({192, 0, 2, 2}), v6_ends(32, '\x20');
  const auto outer_v4 = [&](int protocol, const std::string& payload) {
    return bytes({0x45, 0}) + be16(20 + payload.size()) + bytes({0, 0, 0x40, 0, 64, protocol, 0, 0}) + v4_ends +
           payload;
  };
  const auto outer_v6 = [&](int protocol, const std::string& payload) {
    return bytes({0x60, 0, 0, 0}) + be16(payload.size()) + bytes({protocol, 64}) + v6_ends + payload;
  };
  for (const bool v6 : {false, true}) {
    const std::string type = v6 ? "\x86\xdd" : std::string("\x08\0", 2), frame = std::string(12, '\2') + type;
    const int ip = v6 ? 41 : 4;
    const auto vxlan = [&](const std::string& packet) {
      return be16(50'000) + be16(4789) + be16(16 + frame.size() + packet.size()) + be16(0) +
             bytes({8, 0, 0, 0, 0, 0, 7, 0}) + frame + packet;
    };
    const std::string erspan = bytes({0x10, 0, 0x88, 0xbe, 0, 0, 0, 1}) + std::string(8, '\0') + frame;
    using Wrap = std::function<std::string(const std::string&)>;
    for (const Wrap& wrap : std::vector<Wrap>{
             [&](const std::string& p) { return outer_v4(ip, p); },
             [&](const std::string& p) { return outer_v6(ip, p); },
             [&](const std::string& p) { return outer_v4(4, outer_v4(ip, p)); },
             [&](const std::string& p) {
               return outer_v4(47, bytes({0, 0}) + type + p);
             },
             [&](const std::string& p) {
               return outer_v6(47, bytes({0xb0, 0}) + type + std::string(12, '\1') + p);
             },
             [&](const std::string& p) {
               return outer_v4(47, bytes({0x20, 0, 0x65, 0x58, 0, 0, 0, 7}) + frame + p);
             },
             [&](const std::string& p) { return outer_v4(47, erspan + p); },
             [&](const std::string& p) {
               return outer_v4(47, bytes({0, 0, 0x88, 0xbe}) + frame + p);
             },
             [&](const std::string& p) { return outer_v4(17, vxlan(p)); },
         }) {
      auto packets = session(v6);
      for (Packet& p : packets) p.bytes = wrap(p.bytes);
      CAPTURE(v6, packets[0].bytes.size());
      check_whole(pcap(packets));
    }
    auto cut = session(v6);  // a tunnel cut anywhere is no packet of TCP, or the beginning of one
    for (Packet& p : cut) p.bytes = outer_v4(17, vxlan(p.bytes));
    for (size_t length = 0; length < 120; ++length) {
      std::vector<Packet> short_ones = cut;
      for (Packet& p : short_ones) p.bytes.resize(std::min(length, p.bytes.size()));
      analyzed(pcap(short_ones));
    }
  }
  std::string nested;
  for (int i = 0; i < 100; ++i) nested = outer_v4(4, nested);
  CHECK(analyzed(pcap({{nested, 1'700'000'000'000'000, 0}})).empty());
}

TEST_CASE("pcapng with several sections and interfaces, in both byte orders") {
  for (const bool big : {false, true}) {
    const auto packets = session();
    std::string decimal = section(big, 9, -1000), binary = section(big, 0x80 | 20, 0), old = section(big, 6, 0);
    for (const Packet& p : packets) {
      decimal +=
          enhanced(p, static_cast<uint64_t>(p.at_us) * 1000 + 1'000'000'000'000 + 999, big) + block(0xBAD, "?", big);
      old += enhanced(p, static_cast<uint64_t>(p.at_us), big, true);
      // 2^-20 s: rounded up, so that it comes back rounded down.
      const auto seconds = static_cast<uint64_t>(p.at_us / 1'000'000), us = static_cast<uint64_t>(p.at_us % 1'000'000);
      binary += enhanced(p, seconds << 20 | ((us << 20) / 1'000'000 + (us > 0 ? 1 : 0)), big);
      if (&p == &packets[4]) decimal += section(big, 9, -1000), old += section(!big, 6, 0) + section(big, 6, 0);
    }
    check_whole(decimal);
    check_whole(old);
    check_whole(binary);
  }
}

TEST_CASE("simple packet blocks have no times and no interface, but are read") {
  std::string file = block(0x0A0D0D0A, number<uint32_t>(0x1A2B3C4D, false) + std::string(12, '\1'), false) +
                     block(1, number<uint16_t>(101, false) + std::string(6, '\0'), false);
  for (const Packet& p : session())
    file += block(3, number(static_cast<uint32_t>(p.bytes.size()), false) + p.bytes, false);
  const auto found = analyzed(file);
  REQUIRE(found.size() == 1);
  CHECK(found[0].verdict == Verdict::delivered);
}

TEST_CASE("IPv4 with options and fragments, IPv6 with extension headers and fragments") {
  std::vector<Packet> options, pieces4, headers, pieces6;
  size_t id = 0;
  for (const Packet& p : session()) {
    const std::string from = p.bytes.substr(12, 4), to = p.bytes.substr(16, 4), tcp = p.bytes.substr(20);
    options.push_back({ipv4(from, to, tcp, 0, 0, std::string(8, '\1')) + "link padding", p.at_us, 0});
    ++id;
    // Out of order, one of them twice.
    for (const size_t at : {size_t{16}, size_t{0}, size_t{0}, size_t{8}}) {
      const bool last = at == 16;
      pieces4.push_back(
          {ipv4(from, to, last ? tcp.substr(16) : tcp.substr(at, 8), (last ? 0 : 0x2000) | at / 8, id), p.at_us, 0});
    }
  }
  for (const Packet& p : session(true)) {
    const std::string from = p.bytes.substr(8, 16), to = p.bytes.substr(24, 16), tcp = p.bytes.substr(40);
    const std::string hop = bytes({43, 0, 1, 4, 0, 0, 0, 0}), routing = bytes({60, 0, 0, 0, 0, 0, 0, 0}),
                      destination = bytes({44, 1}) + std::string(14, '\0'), atomic = bytes({6, 0, 0, 0, 0, 0, 0, 9});
    headers.push_back({ipv6(from, to, hop + routing + destination + atomic + tcp, 0), p.at_us, 0});
    ++id;
    pieces6.push_back({ipv6(from, to, bytes({6, 0}) + be16(16) + be32(id) + tcp.substr(16), 44), p.at_us, 0});
    pieces6.push_back({ipv6(from, to, bytes({6, 0}) + be16(1) + be32(id) + tcp.substr(0, 16), 44), p.at_us, 0});
  }
  check_whole(pcap(options));
  check_whole(pcap(pieces4));
  check_whole(pcap(headers));
  check_whole(pcap(pieces6));
}

TEST_CASE("a file cut at any byte gives what came before, and says where") {
  std::string ng = section(false, 6, 0);
  for (const Packet& p : session()) ng += enhanced(p, static_cast<uint64_t>(p.at_us), false);
  for (const std::string& file : {pcap(session()), ng}) {
    size_t events = 0;
    for (size_t size = 0; size <= file.size(); ++size) {
      CaptureReport report;
      const auto found = analyzed(std::string_view(file).substr(0, size), &report, 1 + size % 700);
      REQUIRE(found.size() <= 1);
      if (found.empty()) continue;
      REQUIRE(found[0].events.size() >= events);
      events = found[0].events.size();
      if (!report.error.empty()) REQUIRE(report.error.find("(byte ") != std::string::npos);
    }
    CHECK(events == 16);
  }
}

TEST_CASE("a recording of ours keeps its facts; without its comments the same was said") {
  SessionFacts facts;
  facts.id = "01KB0000000000000000000001";
  facts.icid = 77;
  facts.instance = "01KA0000000000000000000001";
  facts.started_us = 1'700'000'000'000'000;
  facts.sender = {"192.0.2.7", 40000};
  facts.gateway = {"198.51.100.25", 25};
  facts.sees = "sender";
  std::string file;
  append_section(file);
  SessionRecorder recorder(facts, file);
  recorder.connected({GatewayConnect::State::connected, 400, 390, ""}, file);
  int64_t now = 1000;
  const auto say = [&](From from, std::string text) {
    recorder.chunk(from, now += 700, text.data(), text.size(), file);
  };
  say(From::gateway, "220 gw ESMTP\r\n");
  say(From::sender, "EHLO a.example\r\n");
  say(From::gateway, "250-gw\r\n250 AUTH PLAIN\r\n");
  say(From::sender, "AUTH PLAIN c2VjcmV0\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<x@gw>\r\nRCPT TO:<b@gw>\r\nDATA\r\n");
  say(From::gateway, "235 ok\r\n250 ok\r\n550 5.1.1 unknown\r\n250 ok\r\n354 go\r\n");
  say(From::sender, "Subject: x\r\n\r\n" + std::string(100'000, 'x') + "\r\n.\r\n");
  say(From::gateway, "451 4.3.0 later\r\n");
  recorder.closed({From::sender, now += 10, CloseHow::fin}, file);
  recorder.closed({From::gateway, now += 10, CloseHow::rst}, file);
  SessionEnd end;
  end.at_us = now;
  end.sender_stream = {100'200, "0123456789abcdef0123456789abcdef"};
  const Transcript live = recorder.ended(end, file);

  const auto json = [](Transcript t) {
    t.recording.clear();
    std::string text;
    append_json(text, t);
    return text;
  };
  const auto own = analyzed(file);
  REQUIRE(own.size() == 1);
  Transcript without_hash = live;  // where the proxy gave none it is made from the bytes
  without_hash.gateway_stream.xxh128 = own[0].gateway_stream.xxh128;
  CHECK(json(own[0]) == json(without_hash));

  // The packets alone, as tcpdump would have them.
  std::vector<Packet> packets;
  for (size_t at = 0; at < file.size();) {
    uint32_t type = 0, length = 0, captured = 0;
    std::memcpy(&type, file.data() + at, 4);
    std::memcpy(&length, file.data() + at + 4, 4);
    if (type == 6) {
      uint32_t high = 0, low = 0;
      std::memcpy(&high, file.data() + at + 12, 4);
      std::memcpy(&low, file.data() + at + 16, 4);
      std::memcpy(&captured, file.data() + at + 20, 4);
      packets.push_back({file.substr(at + 28, captured), static_cast<int64_t>(uint64_t{high} << 32 | low), 0});
    }
    at += length;
  }
  const auto foreign = analyzed(pcap(packets));
  REQUIRE(foreign.size() == 1);
  Transcript same = foreign[0];
  CHECK(same.session.id != live.session.id);
  CHECK(same.connect.took_us == 400);
  CHECK(same.sender_stream.bytes == 100'119);
  same.session = live.session;  // what only the proxy knows
  same.connect = live.connect;
  same.sender_stream = live.sender_stream;
  same.gateway_stream = live.gateway_stream;
  CHECK(json(same) == json(live));
}
