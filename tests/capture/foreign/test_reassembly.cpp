// TCP out of a capture: whatever is done to the packets of a session, the transcript is that of the session, or says
// what is missing.
#include <algorithm>
#include <random>

#include "tests/capture/foreign/packets.h"
#include "tests/catch.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

Transcript one(const std::vector<Packet>& packets) {
  auto found = analyzed(pcap(packets));
  REQUIRE(found.size() == 1);
  return std::move(found[0]);
}

const std::vector<std::string>& whole() {
  static const std::vector<std::string> lines = said(one(Talk().session().packets));
  return lines;
}

std::vector<Packet> without(std::vector<Packet> packets, size_t index) {
  packets.erase(packets.begin() + static_cast<std::ptrdiff_t>(index));
  return packets;
}

}  // namespace

TEST_CASE("retransmissions and keep-alive probes change nothing") {
  Talk talk;
  talk.session();
  std::vector<Packet> twice;
  for (const Packet& p : talk.packets) {
    twice.push_back(p);
    twice.push_back(p);
  }
  CHECK(said(one(twice)) == whole());
  Talk probes;
  probes.open().gateway("220 gw.example ESMTP\r\n");
  probes.packets.push_back(probes.make(0, kAck, probes.next[0] - 1, ""));
  probes.packets.push_back(probes.make(0, kAck, probes.next[0] - 1, std::string(1, '\0')));
  probes.sender("QUIT\r\n");
  probes.packets.push_back(probes.make(1, kAck, probes.next[1] - 1, "?"));
  probes.gateway("221 bye\r\n").fins();
  CHECK(said(one(probes.packets)) ==
        std::vector<std::string>{"G 220 gw.example ESMTP", "S QUIT", "G 221 bye", "S fin", "G fin"});
}

TEST_CASE("packets captured out of order are put in order") {
  const auto packets = Talk().session().packets;
  for (size_t i = 3; i + 1 < packets.size() - 3; ++i) {
    auto swapped = packets;
    std::swap(swapped[i].bytes, swapped[i + 1].bytes);
    CAPTURE(i);
    const Transcript t = one(swapped);
    CHECK(said(t) == whole());
    CHECK(t.capture.gaps == 0);
  }
}

TEST_CASE("of bytes that came twice the first ones stand") {
  Talk talk;
  talk.open().gateway("220 gw.example ESMTP\r\n");
  const uint32_t at = talk.next[0];
  talk.packets.push_back(talk.make(0, kAck, at + 5, "first.example\r\n"));
  talk.packets.push_back(talk.make(0, kAck, at, "EHLO xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
  talk.next[0] = at + 20;
  const auto lines = said(one(talk.packets));
  REQUIRE(lines.size() >= 2);
  CHECK(lines[1] == "S EHLO first.example");
}

TEST_CASE("sequence numbers wrap") {
  for (uint32_t back = 1; back < 120; ++back) {
    Talk talk;
    talk.next = {0U - back, 0U - back - 7};
    REQUIRE(said(one(talk.session().packets)) == whole());
  }
}

TEST_CASE("a lost packet is a gap, and never a breakdown") {
  const auto packets = Talk().session().packets;
  for (size_t i = 3; i < packets.size() - 3; ++i) {
    CAPTURE(i);
    const Transcript t = one(without(packets, i));
    CHECK(t.capture.gaps == 1);
    CHECK_FALSE(t.complete);
    INFO(t.summary);
    CHECK((t.verdict == Verdict::delivered || t.verdict == Verdict::unknown));
    CHECK(t.sender_stream.bytes == 101);
    CHECK((t.sender_stream.xxh128.empty() || t.gateway_stream.xxh128.empty()));
  }
  // All that came behind the greeting of a session that was refused: what is missing decides.
  Talk refused;
  refused.open().gateway("220 gw.example ESMTP\r\n").sender("EHLO a.example\r\n").gateway("250 gw.example\r\n");
  refused.sender("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@gw.example>\r\nDATA\r\n")
      .gateway("250 ok\r\n250 ok\r\n354 go\r\n");
  refused.sender("Subject: x\r\n\r\nhello\r\n.\r\n").gateway("250 ok\r\n").fins();
  const Transcript t = one(without(refused.packets, 9));
  CHECK(t.verdict == Verdict::unknown);
  CHECK(t.summary.find("missing from the capture") != std::string::npos);
}

TEST_CASE("bytes behind the snap length are a gap") {
  Talk talk;
  talk.session();
  for (Packet& p : talk.packets) {
    if (p.bytes.size() <= 56) continue;
    p.on_wire = p.bytes.size();
    p.bytes.resize(56);
  }
  const Transcript t = one(talk.packets);
  CHECK(t.capture.gaps > 0);
  CHECK(t.sender_stream.bytes == 101);
  CHECK(t.verdict != Verdict::breakdown);
}

TEST_CASE("one side only, either of them") {
  const auto packets = Talk().session().packets;
  for (const char side : {'\x07', '\x19'}) {
    std::vector<Packet> heard;
    for (const Packet& p : packets)
      if (p.bytes[15] == side) heard.push_back(p);
    const Transcript t = one(heard);
    CHECK(t.session.sender.port == 40000);
    CHECK(t.verdict == Verdict::unknown);
    CHECK_FALSE(t.complete);
    CHECK(t.summary.find(side == '\x07' ? "sender's side" : "gateway's side") != std::string::npos);
    // The side that was heard acknowledges more and more, from a number on that tells nothing.
    const Transcript late = one({heard.begin() + 1, heard.end()});
    for (const Transcript* each : {&t, &late}) {
      CHECK(each->capture.gaps == 0);
      CHECK((side == '\x07' ? each->gateway_stream.bytes : each->sender_stream.bytes) == 0);
    }
  }
}

TEST_CASE("a capture that begins in the midst of a session, or ends there") {
  const auto packets = Talk().session().packets;
  for (size_t i = 1; i < packets.size(); ++i) {
    CAPTURE(i);
    const auto late = analyzed(pcap({packets.begin() + static_cast<std::ptrdiff_t>(i), packets.end()}));
    if (i < packets.size() - 4) REQUIRE(late.size() == 1);
    for (const Transcript& t : late) {
      CHECK(t.session.sender.port == 40000);
      CHECK(t.verdict != Verdict::breakdown);
      CHECK((i <= 3 || t.session.begins_late));
    }
    const auto early = analyzed(pcap({packets.begin(), packets.begin() + static_cast<std::ptrdiff_t>(i)}));
    for (const Transcript& t : early) CHECK(t.verdict != Verdict::breakdown);
    if (i > 3 && i < 14) {
      REQUIRE(early.size() == 1);
      CHECK(early[0].verdict == Verdict::unknown);
      CHECK(early[0].summary.find("ends before") != std::string::npos);
    }
  }
}

TEST_CASE("a port that is used again is a new session, with one SYN or several") {
  Talk first, second;
  first.session();
  second.next = {77'000, 88'000};
  second.now_us = first.now_us + 1000;
  second.session();
  auto packets = first.packets;
  for (const Packet& p : second.packets) packets.push_back(p);
  auto found = analyzed(pcap(packets));
  REQUIRE(found.size() == 2);
  for (const Transcript& t : found) CHECK(said(t) == whole());
  CHECK(found[0].session.id != found[1].session.id);

  // The end of the first is missing.
  packets = {first.packets.begin(), first.packets.begin() + 8};
  for (const Packet& p : second.packets) packets.push_back(p);
  found = analyzed(pcap(packets));
  REQUIRE(found.size() == 2);
  CHECK(found[0].verdict == Verdict::unknown);
  CHECK(found[0].summary.find("port was used again") != std::string::npos);
  CHECK(found[1].verdict == Verdict::delivered);
}

TEST_CASE("what crossed a RST was said, and comes behind it") {
  Talk talk;
  talk.open().gateway("220 gw.example ESMTP\r\n").sender("QUIT\r\n").add(0, kRst);
  talk.gateway("221 bye\r\n").gateway("ever heard?\r\n");
  CHECK(said(one(talk.packets)) ==
        std::vector<std::string>{"G 220 gw.example ESMTP", "S QUIT", "S rst", "G 221 bye", "G ever heard?"});
  talk.packets.erase(talk.packets.end() - 2);  // of what may not have been sent there is no gap
  const Transcript t = one(talk.packets);
  CHECK(t.capture.gaps == 0);
  CHECK(said(t).back() == "S rst");
}

TEST_CASE("an ACK that was captured before the bytes that it acknowledges, and these in disorder, make no gap") {
  std::array<size_t, 3> order{0, 1, 2};
  do {
    Talk talk;
    talk.open().gateway("220 gw.example ESMTP\r\n");
    const std::array<std::string, 3> pieces{"EHLO ", "a.exam", "ple\r\n"};
    std::vector<Packet> packets;
    for (const std::string& piece : pieces) {
      packets.push_back(talk.make(0, kAck, talk.next[0], piece));
      talk.next[0] += static_cast<uint32_t>(piece.size());
    }
    talk.add(1, kAck);
    for (const size_t each : order) talk.packets.push_back(packets[each]);
    talk.gateway("250 gw.example\r\n");
    const Transcript t = one(talk.packets);
    CHECK(t.capture.gaps == 0);
    CHECK(said(t) == std::vector<std::string>{"G 220 gw.example ESMTP", "S EHLO a.example", "G 250 gw.example"});
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("a FIN that overtook bytes has the time of its packet") {
  Talk talk;
  talk.open().gateway("220 gw.example ESMTP\r\n").sender("QUIT\r\n");
  const uint32_t at = talk.next[1];
  talk.packets.push_back(talk.make(1, kFin | kAck, at + 9, ""));
  const int64_t left_us = talk.now_us - talk.packets[0].at_us;
  talk.now_us += 300'000;
  talk.packets.push_back(talk.make(1, kAck, at, "221 bye\r\n"));
  const Transcript t = one(talk.packets);
  CHECK(said(t) == std::vector<std::string>{"G 220 gw.example ESMTP", "S QUIT", "G 221 bye", "G fin"});
  CHECK(t.events.back().at_us == left_us);
}

TEST_CASE("an acknowledgment of what nobody can have sent counts for nothing") {
  Talk talk;
  talk.next = {4'000'000'000, 4'100'000'000};
  talk.session();
  for (size_t i = 2; i < talk.packets.size(); ++i) talk.packets[i].bytes.replace(20 + 8, 4, std::string(4, '\0'));
  const Transcript t = one(talk.packets);
  CHECK(said(t) == whole());
  CHECK(t.capture.gaps == 0);
}

TEST_CASE("packets of a session that is over are no new one") {
  for (const bool reset : {false, true}) {
    Talk talk;
    talk.open().gateway("220 gw.example ESMTP\r\n").sender("QUIT\r\n");
    const uint32_t at = talk.next[1];
    if (reset)
      talk.add(0, kRst);
    else
      talk.gateway("221 bye\r\n").fins();
    for (const int64_t seconds : {1, 3, 6, 12, 24}) {
      talk.now_us += seconds * 1'000'000;
      talk.packets.push_back(talk.make(1, kAck, at, "221 bye\r\n"));
      talk.packets.push_back(talk.make(0, kRst, talk.next[0], ""));
    }
    CAPTURE(reset);
    const Transcript t = one(talk.packets);
    CHECK(t.verdict == Verdict::no_mail);
    CHECK(t.gateway_stream.bytes == 31);
  }
  // One that nothing was said in is over, too.
  Talk scan;
  scan.open().add(0, kRst).gateway("220 gw.example ESMTP\r\n");
  CHECK(one(scan.packets).verdict == Verdict::no_mail);
}

TEST_CASE("a port that is used again is a new session also if its SYN was not captured") {
  Talk first, second;
  first.session();
  second.next = {777'000'000, 888'000'000};
  second.now_us = first.now_us + 30'000'000;
  second.session();
  for (const size_t missing : {size_t{1}, size_t{3}}) {
    auto packets = first.packets;
    packets.insert(packets.end(), second.packets.begin() + static_cast<std::ptrdiff_t>(missing), second.packets.end());
    const auto found = analyzed(pcap(packets));
    REQUIRE(found.size() == 2);
    for (const Transcript& t : found) CHECK(said(t) == whole());
  }
}

TEST_CASE("sessions are numbered by their first packets, whichever speaks first") {
  Talk silent(40001), quick(40002);
  silent.open();
  quick.now_us = silent.now_us;
  quick.next = {77'000, 88'000};
  quick.session();
  silent.now_us = quick.now_us;
  silent.gateway("220 gw.example ESMTP\r\n").sender("QUIT\r\n").gateway("221 bye\r\n").fins();
  auto packets = silent.packets;
  packets.insert(packets.begin() + 3, quick.packets.begin(), quick.packets.end());
  const auto found = analyzed(pcap(packets));
  REQUIRE(found.size() == 2);
  for (const Transcript& t : found) CHECK(t.session.icid == (t.session.sender.port == 40001 ? 1 : 2));
}

TEST_CASE("a session of which an ACK was captured first begins with it, wherever that stands in the stream") {
  Talk talk;
  talk.session();
  const Transcript t = one({talk.packets.begin() + 2, talk.packets.end()});
  CHECK(t.session.started_us == talk.packets[2].at_us);
  CHECK(said(t) == whole());
  Talk probed;
  probed.packets.push_back(probed.make(0, kAck, probed.next[0] - 1, ""));
  probed.packets.push_back(probed.make(1, kAck, probed.next[1], ""));
  probed.sender("QUIT\r\n").gateway("221 bye\r\n").fins();
  const Transcript late = one(probed.packets);
  CHECK(late.session.started_us == probed.packets[0].at_us);
  CHECK(late.capture.gaps == 0);
  CHECK(said(late) == std::vector<std::string>{"S QUIT", "G 221 bye", "S fin", "G fin"});
  CHECK(analyzed(pcap(Talk().add(0, kAck).fins().packets)).empty());
}

TEST_CASE("SMTP is found on any port by what is said, and nothing else is") {
  CHECK(said(one(Talk(40000, 10025).session().packets)) == whole());
  CHECK(
      analyzed(pcap(Talk(40000, 21).open().gateway("220 FTP ready\r\n").sender("USER x\r\n").fins().packets)).empty());
  CHECK(analyzed(pcap(Talk(40000, 80).open().sender("GET / HTTP/1.1\r\n").gateway("HTTP/1.1 200\r\n").fins().packets))
            .empty());
  CHECK(analyzed(pcap(Talk(40000, 110).open().gateway("+OK pop\r\n").sender("QUIT\r\n").fins().packets)).empty());
  CHECK(one(Talk(40000, 4000).open().gateway("554 5.7.1 no service\r\n").fins().packets).verdict == Verdict::breakdown);
  CHECK(one(Talk().open().sender("GET / HTTP/1.1\r\n\r\n").gateway("220 gw\r\n").fins().packets).verdict ==
        Verdict::breakdown);
  CHECK(one(Talk(40000, 465).open().sender("\x16\x03\x01\x02").packets).tls.has_value());
  CHECK(analyzed(pcap(Talk(40000, 21).open().gateway("220 smtp.a.example FTP\r\n").sender("USER x\r\n").packets))
            .empty());
  CHECK(one(Talk(40000, 26).open().gateway("220 ftp.a.example ESMTP\r\n").sender("EHLO x\r\n").packets).events.size() ==
        3);
  // A port above 1023 may be that of a client of something else.
  const auto web = Talk(2525, 80).sender("GET / HTTP/1.1\r\n").gateway("HTTP/1.1 200\r\n").packets;
  CHECK(analyzed(pcap(web)).empty());
  const auto relay = Talk(40000, 2525).sender("RSET\r\n").gateway("250 ok\r\n").packets;
  CHECK(one(relay).session.sender.port == 40000);
  const auto packets = Talk(40000, 10025).session().packets;  // no SYN, no known port: the greeting tells who is who
  const Transcript t = one({packets.begin() + 3, packets.end()});
  CHECK(t.session.sender.port == 40000);
  CHECK(t.verdict == Verdict::delivered);
}

TEST_CASE("connections that did not come about") {
  Talk refused;
  refused.add(0, kSyn).add(1, kRst | kAck);
  const Transcript r = one(refused.packets);
  REQUIRE(r.breakdown);
  CHECK(r.breakdown->code == "gateway-refused");
  Talk silent;
  silent.add(0, kSyn);
  for (int i = 0; i < 4; ++i) {
    silent.packets.push_back(silent.packets[0]);
    silent.packets.back().at_us += (1 << i) * 4'000'000;
  }
  const Transcript s = one(silent.packets);
  REQUIRE(s.breakdown);
  CHECK(s.breakdown->code == "gateway-no-answer");
  CHECK(analyzed(pcap(Talk().add(0, kSyn).packets)).empty());
  CHECK(one(Talk().open().fins().packets).verdict == Verdict::no_mail);
}

TEST_CASE("random cutting, disorder and repetition change nothing") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Talk talk;
    talk.open().gateway("220 gw.example ESMTP\r\n").sender("EHLO a.example\r\n").gateway("250 gw.example\r\n");
    talk.sender("MAIL FROM:<a@a.example>\r\n")
        .gateway("250 ok\r\n")
        .sender("RCPT TO:<b@gw.example>\r\n")
        .gateway("250 ok\r\n");
    talk.sender("DATA\r\n").gateway("354 go\r\n");
    const std::string body = "Subject: x\r\n\r\nhello\r\n.\r\n";
    std::vector<Packet> pieces;
    for (size_t at = 0; at < body.size();) {
      const size_t length = std::min<size_t>(1 + random() % 6, body.size() - at), back = random() % (at + 1);
      pieces.push_back(
          talk.make(0, kAck, talk.next[0] + static_cast<uint32_t>(at - back), body.substr(at - back, length + back)));
      at += length;
    }
    std::shuffle(pieces.begin(), pieces.end(), random);
    for (Packet& p : pieces) talk.packets.push_back(p);
    talk.next[0] += static_cast<uint32_t>(body.size());
    talk.gateway("250 ok\r\n").sender("QUIT\r\n").gateway("221 bye\r\n").fins();
    REQUIRE(said(one(talk.packets)) == whole());
  }
}
