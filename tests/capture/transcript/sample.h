// Transcripts for the tests: a conversation of timed turns, read by Conversation, with the facts around it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/smtp/conversation.h"
#include "capture/transcript/transcript.h"
#include "tests/catch.h"

namespace smtpscope::test {

struct Turn {
  double at_s;
  From from;
  std::string bytes;  ///< without its last line end, which is added; "FIN", "RST", "TIMEOUT" close
};
inline Turn S(double at_s, std::string bytes) { return {at_s, From::sender, std::move(bytes)}; }
inline Turn G(double at_s, std::string bytes) { return {at_s, From::gateway, std::move(bytes)}; }

inline int64_t us(double seconds) { return static_cast<int64_t>(seconds * 1e6 + 0.5); }

/// The session of these turns, ended at `end_s`; no verdict yet.
inline Transcript sample(const std::vector<Turn>& turns, double end_s) {
  Conversation c;
  c.open(0);
  c.gateway_connected();
  uint64_t offset[2] = {0, 0};
  for (const Turn& turn : turns) {
    const int64_t at_us = us(turn.at_s);
    if (turn.bytes == "FIN" || turn.bytes == "RST" || turn.bytes == "TIMEOUT") {
      c.close(turn.from,
              turn.bytes == "FIN"   ? CloseHow::fin
              : turn.bytes == "RST" ? CloseHow::rst
                                    : CloseHow::timeout,
              at_us);
      continue;
    }
    const std::string bytes = turn.bytes + "\r\n";
    uint64_t& at = offset[turn.from == From::sender ? 0 : 1];
    c.chunk({turn.from, at_us, at, bytes});
    at += bytes.size();
  }
  c.finish();

  Transcript t;
  t.session = {"01KATZ9FXGQ8N5C4R2T7V6W0YB",
               6,
               "01KATZ9F00Q8N5C4R2T7V6W0YA",
               1'795'486'001'123'456,
               {"203.0.113.9", 41234},
               {"10.0.0.1", 25},
               "sender",
               0,
               "203.0.113.0/24",
               "full",
               0};
  t.connect = {GatewayConnect::State::connected, 400, 400, ""};
  t.duration_us = us(end_s);
  t.tls = c.tls();
  t.events = c.release_events();
  t.messages = c.release_messages();
  for (Event& e : t.events) e.text = lossless(e.text);
  for (Message& m : t.messages) {
    if (m.mail_from) m.mail_from = lossless(*m.mail_from);
    m.queue_id = lossless(m.queue_id);
    for (Recipient& r : m.recipients) r.address = lossless(r.address);
  }
  t.sender_stream = {offset[0], "0123456789abcdef0123456789abcdef"};
  t.gateway_stream = {offset[1], "fedcba9876543210fedcba9876543210"};
  t.sender_leg = LegTransport{210, 0, 1448};
  t.recording = "2026-11-24.pcapng";
  t.recording_bytes = {4096, 8192};
  return t;
}

/// Index of the event with this text at its beginning; the test fails if there is none.
inline int32_t event_at(const Transcript& t, std::string_view text) {
  for (size_t i = 0; i < t.events.size(); ++i)
    if (t.events[i].text.starts_with(text)) return static_cast<int32_t>(i);
  FAIL("no event begins with " << text);
  return -1;
}

/// A mail whose only recipient is unknown: the session that most tests look at.
inline Transcript unknown_user() {
  Transcript t = sample({G(0.0312, "220 gw.example ESMTP"), S(0.0451, "EHLO mx.sender.example"),
                         G(0.0459, "250-gw.example\r\n250-PIPELINING\r\n250-SIZE 20971520\r\n250 8BITMIME"),
                         S(0.0602, "MAIL FROM:<anna@sender.example> SIZE=5000"), G(0.0611, "250 2.1.0 Ok"),
                         S(0.0748, "RCPT TO:<bob@gw.example>"),
                         G(0.3124, "550 5.1.1 <bob@gw.example>: Recipient address rejected: User unknown"),
                         S(0.3260, "QUIT"), G(0.3266, "221 2.0.0 Bye"), G(0.3267, "FIN"), S(0.3391, "FIN")},
                        0.3392);
  const int32_t n = event_at(t, "550");
  const Event& e = t.events[static_cast<size_t>(n)];
  t.verdict = Verdict::breakdown;
  t.summary = "The gateway does not know the recipient <bob@gw.example>: " + e.text;
  Finding f;
  f.code = "rcpt-unknown-user";
  f.phase = Phase::rcpt;
  f.party = Party::sender;
  f.event = n;
  f.at_us = e.at_us;
  f.offset = e.offset;
  f.length = e.bytes;
  f.expected = "250 or 251";
  f.got = e.text;
  f.why = "There is no mailbox of this name on the gateway.";
  f.advice =
      "Check the spelling with the sender. If the address should exist, look in the gateway's recipient table (Cisco: "
      "RAT or LDAP accept query; Postfix: local_recipient_maps, relay_recipient_maps, virtual_mailbox_maps, "
      "virtual_alias_maps).";
  f.references = {"RFC 5321 4.2.3", "RFC 3463 3.2"};
  t.breakdown = f;
  return t;
}

}  // namespace smtpscope::test
