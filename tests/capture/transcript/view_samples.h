// The sessions whose text views are written out in test_text_view.cpp.
#pragma once

#include "tests/capture/transcript/sample.h"

namespace smtpscope::test {

inline Finding finding(std::string code, Phase phase, Party party, int32_t event, int64_t at_us) {
  Finding f;
  f.code = std::move(code);
  f.phase = phase;
  f.party = party;
  f.event = event;
  f.at_us = at_us;
  return f;
}

inline Transcript gave_up_before_banner() {
  Transcript t = sample({S(30.0012, "FIN"), G(35.2, "220 gw.example ESMTP"), G(35.2011, "FIN")}, 35.2012);
  t.verdict = Verdict::breakdown;
  t.summary = "The gateway took 35.2 s to greet and the sender waits only 30 s.";
  Finding f = finding("banner-sender-gave-up", Phase::banner, Party::gateway, 1, us(30.0012));
  f.confidence = Confidence::likely;
  f.expected = "220 from the gateway; the sender should wait 5 minutes for it";
  f.got = "FIN from the sender after 30.0 s";
  f.why = "The gateway had sent no greeting when the sender left.";
  f.advice = "Find out why the greeting is slow: most often it is a reverse DNS lookup that gets no answer.";
  f.references = {"RFC 5321 4.5.3.2.1"};
  t.breakdown = f;
  return t;
}

inline Transcript stalled_in_body() {
  std::string half;
  for (int i = 0; i < 100; ++i) half += "One of many lines of a message that never ends.\r\n";
  Transcript t = sample({G(0.002, "220 gw.example ESMTP"), S(0.003, "EHLO mx.sender.example"),
                         G(0.004, "250-gw.example\r\n250 PIPELINING"),
                         S(0.005, "MAIL FROM:<anna@sender.example>\r\nRCPT TO:<bob@gw.example>\r\nDATA"),
                         G(0.006, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>"),
                         S(0.007, "Subject: Quarterly figures\r\n\r\n" + half), S(2.5, half),
                         G(302.5, "421 4.4.2 gw.example Error: timeout exceeded"), G(302.5003, "FIN")},
                        302.6);
  const int32_t n = event_at(t, "421");
  t.verdict = Verdict::breakdown;
  t.summary = "The sender stopped in the middle of the message and the gateway gave up after 300 s.";
  Finding f = finding("body-stalled", Phase::body, Party::sender, n, us(302.5));
  f.stream = From::sender;
  f.offset = t.sender_stream.bytes;
  f.expected = "the rest of the message, up to its final dot";
  f.got = "nothing for 300.0 s";
  f.why = "9,834 bytes of the message came, then none. Large packets that get lost look like this.";
  f.advice = "Look for an MTU problem on the sender's path (ICMP filtered, VPN, PPPoE).";
  f.references = {"RFC 5321 4.5.3.2.5", "RFC 4821"};
  t.breakdown = f;
  return t;
}

inline Transcript delivered() {
  Transcript t =
      sample({G(6.031, "220 gw.example ESMTP"), S(6.045, "EHLO mx.sender.example"),
              G(6.046, "250-gw.example\r\n250-SIZE 20971520\r\n250 8BITMIME"),
              S(6.06, "MAIL FROM:<anna@sender.example> SIZE=120"), G(6.061, "250 2.1.0 Ok"),
              S(6.07, "RCPT TO:<bob@gw.example>"), G(6.071, "250 2.1.5 Ok"), S(6.08, "RCPT TO:<eve@gw.example>"),
              G(6.081, "450 4.2.0 <eve@gw.example>: Greylisted, try again in 5 minutes"), S(6.09, "DATA"),
              G(6.091, "354 End data with <CR><LF>.<CR><LF>"),
              S(6.1, "Subject: Hello Bob\r\nFrom: Anna\r\n\r\nSee you on Monday.\r\n."),
              G(6.2, "250 2.0.0 Ok: queued as 4F1A2B3C"), S(6.21, "QUIT"), G(6.211, "221 2.0.0 Bye"), G(6.2111, "FIN"),
              S(6.22, "FIN")},
             6.2201);
  t.verdict = Verdict::delivered;
  t.summary = "One message was delivered to 1 of 2 recipients.";
  Finding slow = finding("banner-slow", Phase::banner, Party::gateway, 1, us(6.031));
  slow.why = "The greeting took 6.0 s. Senders with short time-outs give up here.";
  slow.advice = "Look for slow DNS lookups at the gateway.";
  t.notes = {slow};
  t.capture.masked_bytes = 12;
  return t;
}

inline Transcript hostile() {
  Transcript t = sample(
      {G(0.001, "220 gw\x1b]0;owned\x07 \x1b[2J\x1b[31mESMTP"), S(0.002, "EHLO \xE2\x80\xAEmoc.knab\xE2\x80\xAC"),
       G(0.003,
         "250-Gr\xC3\xBC\xC3\x9F Gott, \xE6\x97\xA5\xE6\x9C\xAC\r\n250-a\rb\xC2\x9B"
         "5n\r\n250 \xFF\xFE ok"),
       S(0.004, "MAIL FROM:<" + std::string(60, 'a') + "\\" + std::string(120, 'z') + ">"),
       G(0.005, "501 5.1.7 \xF0\x9F\x98\x80 no"), S(0.006, "RST")},
      0.006);
  t.verdict = Verdict::breakdown;
  t.summary = lossless("The gateway refused <\x1b[8m>.");
  const int32_t n = event_at(t, "501");
  const Event& e = t.events[static_cast<size_t>(n)];
  Finding f = finding("mail-refused", Phase::mail, Party::policy, n, e.at_us);
  f.offset = e.offset;
  f.length = e.bytes;
  f.got = e.text;
  t.breakdown = f;
  t.session.filter = "\x1b[31m";
  return t;
}

}  // namespace smtpscope::test
