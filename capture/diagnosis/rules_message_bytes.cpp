// The bytes of messages that the protocol does not allow, or that gateways understand in more than one way: ends of
// data that are none, lone CR and LF, NUL, 8-bit, long lines. Most of it goes well with one gateway and breaks with the
// next, so most of it are notes.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "capture/diagnosis/body_stall.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"
#include "capture/smtp/syntax.h"

namespace smtpscope {
namespace {

constexpr std::string_view kQuiet = "use hello mail rcpt data body accepted bye\n";
#define PLAIN_HELLO "G 220 gw.example ESMTP\nS EHLO mx.sender.example\nG 250 gw.example\n"
#define HEADER "S Subject: a test\nS \n"

/// Did the sender declare that the message is binary (RFC 3030)? Then any byte may stand in it.
bool is_binary(const View& v, const Message& message) {
  const Event* mail = v.at(message.mail);
  static constexpr std::string_view kBinary = "BODY=BINARYMIME";
  if (!message.bdat || mail == nullptr) return false;
  for (size_t at = 0; at + kBinary.size() <= mail->text.size(); ++at)
    if (starts_with_nocase(std::string_view(mail->text).substr(at), kBinary)) return true;
  return false;
}

/// The body event that holds this byte: of a message in chunks, one of several.
int32_t body_holding(const View& v, const Message& message, uint64_t offset) {
  for (int32_t i = std::max(message.body, 0); message.bdat && i < count_of(v); ++i) {
    const Event& e = *v.at(i);
    if (e.kind == Event::Kind::body && offset >= e.offset && offset < e.offset + e.bytes) return i;
  }
  return message.body;
}

/// The first message with such bytes, sent where the gateway did not offer `extension` (none: anywhere).
std::optional<Match> odd_bytes(const View& v, BodyOddities::Seen BodyOddities::*which, uint64_t length,
                               std::string_view what, std::string_view extension = {}) {
  for (const Message& message : v.messages) {
    const BodyOddities::Seen& seen = message.odd.*which;
    const int32_t event = body_holding(v, message, seen.first);
    const Event* body = v.at(event);
    if (seen.count == 0 || body == nullptr || message.odd.ended_at_look_alike || is_binary(v, message)) continue;
    if (!extension.empty() && v.offers(extension, message.body)) continue;
    Match m = match_event(v, event);
    m.offset = seen.first;
    m.length = length;
    m.got = fmt::format("{}{}, the first at byte {} of the {}",
                        which == &BodyOddities::eight_bit ? std::string() : std::to_string(seen.count) + " ", what,
                        seen.first - body->offset, message.bdat ? "chunk" : "message");
    return m;
  }
  return std::nullopt;
}

std::optional<Match> look_alike(const View& v, const Message& message) {
  if (message.odd.look_alike.count == 0 || v.at(message.body) == nullptr) return std::nullopt;
  Match m = match_event(v, message.body);
  m.offset = message.odd.look_alike.first;
  m.length = message.odd.look_alike_length;
  m.got = fmt::format("a lone dot between other line ends than CR LF, at byte {} of the message",
                      m.offset - v.at(message.body)->offset);
  return m;
}

/// Message and look-alike's rest came in one piece, so what of it the gateway took for commands shows in its replies
/// alone: behind the message's own come others that nothing was owed for, 354 among them.
bool answered_from_within(const View& v, const Message& message) {
  if (message.odd.look_alike.count == 0 || !message.accepted) return false;
  for (int32_t i = message.final_reply + 1; i < count_of(v); ++i) {
    const Event& e = *v.at(i);
    if (e.kind != Event::Kind::reply || e.answers >= 0) return false;
    if (e.code >= 300 && e.code < 400) return true;
  }
  return false;
}

/// "Subject: ..." and the like: what headers begin with, and commands do not.
bool looks_like_header(std::string_view line) {
  static constexpr std::array<std::string_view, 14> kNames{
      "received:", "from:",   "to:",          "cc:",           "subject:",      "date:",           "message-id:",
      "reply-to:", "sender:", "return-path:", "mime-version:", "content-type:", "dkim-signature:", "x-"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view n) { return starts_with_nocase(line, n) && line.find(':') != line.npos; });
}

constexpr Rule kRules[] = {
    {.code = "message-without-data",
     .title = "The sender sent its message where commands are due",
     .phase = Phase::data,
     .party = Party::sender,
     .expected = "DATA, and the message behind the gateway's 354",
     .why = "Header lines came as commands: no DATA stood before them.",
     .advice = "Ask the sender to mend its client: it has to send DATA, wait for 354, and only then the message. If it "
               "is sure that it does, a device between drops its DATA.",
     .references = {"RFC 5321 3.3", "RFC 5321 4.1.1.4"},
     .fires = "use hello mail rcpt\nS!Subject: a test\nG 500 5.5.2 Error: command not recognized\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt\nS DATA\nG 554 5.7.1 no\nS Subject: a test\nG 500 5.5.2 unknown\nuse bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (int32_t i = 0; i < count_of(v); ++i) {
         const Event& e = *v.at(i);
         if (e.kind != Event::Kind::command) continue;
         if (e.verb == Verb::data || e.verb == Verb::bdat) return std::nullopt;
         if (e.verb != Verb::unknown || !looks_like_header(e.text)) continue;
         Match m = match_event(v, i);
         m.phase = Phase::data;
         return m;
       }
       return std::nullopt;
     }},
    {.code = "message-ended-early",
     .title = "A message ended at a dot in its own text, and its rest came as commands",
     .kind = Rule::Kind::note,
     .phase = Phase::end_of_data,
     .party = Party::sender,
     .expected = "a second dot in front of each line of the message that begins with a dot",
     .why = "Behind the final dot came text at once, which is no command: a line of the message that holds a dot alone "
            "was not doubled, so the gateway took it for the end. What the recipient got is cut off there.",
     .advice =
         "Ask the sender to mend its software: it has to double the dot at a line's beginning. The message should "
         "be sent again, as what was accepted is not whole.",
     .references = {"RFC 5321 4.5.2"},
     .fires = "use hello mail rcpt data\n" HEADER
              "S Hello.\nS .\nS!and so on\nS .\nuse accepted\nG 500 5.5.2 unknown\nG 500 5.5.2 unknown\nuse bye\n",
     .quiet = "use hello mail rcpt data\n" HEADER "S Hello.\nS ..\nS and so on\nS .\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (const Message& message : v.messages) {
         const Event* body = v.at(message.body);
         const Event* reply = v.at(message.final_reply);
         if (body == nullptr || reply == nullptr || message.bdat || message.odd.ended_at_look_alike) continue;
         int32_t next = message.body + 1;
         while (next < count_of(v) && !is_sent(*v.at(next))) ++next;
         const Event* e = v.at(next);
         if (e == nullptr || e->verb != Verb::unknown || e->at_us >= reply->at_us) continue;
         Match m = match_event(v, next);
         m.phase = Phase::end_of_data;
         return m;
       }
       return std::nullopt;
     }},
    {.code = "missing-final-dot",
     .title = "The sender ended its message with a dot that is no end",
     .phase = Phase::end_of_data,
     .party = Party::sender,
     .expected = "CR LF, a dot, CR LF",
     .why =
         "The message stops behind a lone dot whose line ends are not CR LF on both sides. The gateway waits for the "
         "end, and the sender for its reply.",
     .advice = "Ask the sender to mend its software: lines end in CR LF, and the message in CR LF, dot, CR LF. If the "
               "dot came and only its CR LF is missing, look for a firewall with SMTP inspection on the way.",
     .references = {"RFC 5321 4.1.1.4", "RFC 5321 2.3.8"},
     .fires =
         "use hello mail rcpt data\n" HEADER "S~Hello.\\n.\\n\n!\n+300\nG 421 4.4.2 timeout exceeded\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt data\n" HEADER "S~Hello.\\n.\\n\n+2\nS~\\r\\n.\\r\\n\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (stall_of(v) != Stall::at_dot) return std::nullopt;
       Match m = match_stall(v);
       m.phase = Phase::end_of_data;
       m.got = "a lone dot with other line ends, then " + m.got;
       return m;
     }},
    {.code = "look-alike-taken",
     .title = "The gateway took a look-alike for the end of the message",
     .kind = Rule::Kind::note,
     .phase = Phase::end_of_data,
     .party = Party::gateway,
     .expected = "a message that goes on until CR LF, dot, CR LF",
     .why = "The gateway ended the message at a lone dot whose line ends are not CR LF.",
     .advice = "The gateway can be used for SMTP smuggling: update it and forbid bare line ends (Postfix: "
               "smtpd_forbid_bare_newline = normalize; Cisco: CR and LF handling of the listener set to reject or "
               "clean). Look at the commands behind this point: they may carry a forged message.",
     .references = {"RFC 5321 4.1.1.4", "RFC 5321 2.3.8"},
     .fires = "use hello mail rcpt data\n" HEADER
              "S~Hello.\nS!~\\n.\\n\nS MAIL FROM:<boss@gw.example>\nS RCPT TO:<b@gw.example>\nuse accepted\nG 250 ok\n"
              "G 250 ok\nuse data body accepted bye\n",
     .quiet = "use hello mail rcpt data\n" HEADER "S~Hello.\\n.\\n\nS MAIL FROM:<boss@gw.example>\nS .\nuse accepted "
              "bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (const Message& message : v.messages) {
         const bool within = answered_from_within(v, message);
         if ((!message.odd.ended_at_look_alike && !within) || !message.accepted) continue;
         Match m = *look_alike(v, message);
         m.phase = Phase::end_of_data;
         const int64_t answered = v.at(message.final_reply) != nullptr ? v.at(message.final_reply)->at_us : 0;
         const bool more = within || std::any_of(v.events.begin() + message.body, v.events.end(), [&](const Event& e) {
                             return e.kind == Event::Kind::command && e.at_us < answered && e.verb != Verb::quit &&
                                    e.verb != Verb::none;
                           });
         m.why = more
                     ? "The gateway ended the message at a lone dot whose line ends are not CR LF, and took what stood "
                       "behind it in the message for commands: that is SMTP smuggling, and it worked."
                     : "The gateway ended the message at a lone dot whose line ends are not CR LF. Nothing stood "
                       "behind it, so here it only helped a sender with wrong line ends.";
         if (!more) m.confidence = Confidence::likely;
         return m;
       }
       return std::nullopt;
     }},
    {.code = "end-look-alike",
     .title = "The message holds a look-alike of its end, which the gateway did not take",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "a lone dot only between CR LF, as the end of the message",
     .why = "A lone dot stands in the message between other line ends than CR LF. Some servers end the message there "
            "and take the rest for commands (SMTP smuggling); this gateway did not.",
     .advice =
         "If commands (MAIL FROM, RCPT TO) stand behind it in the message, somebody tries to smuggle mail: report "
         "it to the sender's operator. Check that servers behind the gateway get these line ends cleaned.",
     .references = {"RFC 5321 4.1.1.4", "RFC 5321 2.3.8"},
     .fires = "use hello mail rcpt data\n" HEADER
              "S~Hello.\nS!~\\n.\\n\nS MAIL FROM:<boss@gw.example>\nS .\nuse accepted bye\n",
     .quiet =
         "use hello mail rcpt data\n" HEADER "S Hello.\nS ..\nS MAIL FROM:<boss@gw.example>\nS .\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (const Message& message : v.messages)
         if (!message.odd.ended_at_look_alike && message.odd.look_alike.count > 0 && !message.odd.stops_at_dot &&
             !answered_from_within(v, message))
           return look_alike(v, message);
       return std::nullopt;
     }},
    {.code = "body-bare-lf",
     .title = "Lines of the message end in LF alone",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "lines that end in CR LF",
     .why = "The sender's software sends lines as Unix files hold them.",
     .advice =
         "Ask the sender to mend its software (often a script that writes \\n to the socket): gateways refuse such "
         "mail more and more, and the others may change it, which breaks DKIM signatures.",
     .references = {"RFC 5321 2.3.8"},
     .fires = "use hello mail rcpt data\n" HEADER "S~Hello\nS!~\\n\nS Bye\nS .\nuse accepted bye\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return odd_bytes(v, &BodyOddities::bare_lf, 1, "LF without CR"); }},
    {.code = "body-bare-cr",
     .title = "The message holds CR that ends no line",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "CR only in CR LF",
     .why =
         "A carriage return stands in the message without a line feed: text of an old Macintosh, progress output of a "
         "program, or binary data that was not encoded.",
     .advice = "Ask the sender to encode such text or attachments (quoted-printable, base64). Servers on the way may "
               "drop the CR or make a line end of it, which breaks the content and DKIM signatures.",
     .references = {"RFC 5321 2.3.8", "RFC 5322 2.3"},
     .fires = "use hello mail rcpt data\n" HEADER "S~Hello\nS!~\\r\nS Bye\nS .\nuse accepted bye\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return odd_bytes(v, &BodyOddities::bare_cr, 1, "CR without LF"); }},
    {.code = "body-nul",
     .title = "The message holds NUL bytes",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "text",
     .why =
         "NUL may not stand in a message: a binary file or text in UTF-16 was sent without encoding, or the file was "
         "damaged on a disk.",
     .advice =
         "Ask the sender to encode attachments in base64 and text in UTF-8. Servers cut the line at the NUL, drop "
         "it, or refuse the message.",
     .references = {"RFC 5322 2.3", "RFC 2045 2.7"},
     .fires = "use hello mail rcpt data\n" HEADER "S~Hello\nS!~\\x00\nS Bye\nS .\nuse accepted bye\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return odd_bytes(v, &BodyOddities::nul, 1, "NUL bytes"); }},
    {.code = "body-8bit-not-offered",
     .title = "The message holds 8-bit bytes, which the gateway did not offer to take",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "bytes up to 127: the EHLO reply has no 8BITMIME",
     .why = "The sender sends 8-bit text to a gateway that names no 8BITMIME. The gateway may clear the highest bit or "
            "refuse the message.",
     .advice = "If the text arrives garbled, this is why: turn 8BITMIME on at the gateway, or look for a firewall that "
               "takes the word out of its EHLO reply; else the sender has to encode (quoted-printable, base64).",
     .references = {"RFC 6152 3", "RFC 5321 2.4"},
     .fires = PLAIN_HELLO "use mail rcpt data\n" HEADER "S~Gr\nS!~\\xfc\nS~n\\r\\n\nS .\nuse accepted bye\n",
     .quiet = "use hello mail rcpt data\n" HEADER "S~Gr\\xfcn\\r\\n\nS .\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (v.helo_ok < 0) return std::nullopt;
       return odd_bytes(v, &BodyOddities::eight_bit, 1, "a byte above 127", "8BITMIME");
     }},
    {.code = "body-long-lines",
     .title = "Lines of the message are longer than 1000 bytes",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "lines of at most 1000 bytes with their CR LF",
     .why = "Lines of more than 998 characters are not allowed. This gateway may break them, which puts blanks or line "
            "ends into words and links and breaks DKIM signatures; others refuse the message.",
     .advice = "Ask the sender to encode such text (quoted-printable, base64): most often it is HTML written in one "
               "line.",
     .references = {"RFC 5321 4.5.3.1.6", "RFC 5322 2.1.1"},
     .fires = "use hello mail rcpt data\n" HEADER "!\nS line 1200\nS .\nuse accepted bye\n",
     .quiet = "use hello mail rcpt data\n" HEADER "S line 1000\nS .\nuse accepted bye\n",
     .check = [](const View& v) { return odd_bytes(v, &BodyOddities::long_line, 0, "lines over 1000 bytes"); }},
};

}  // namespace

std::span<const Rule> rules_message_bytes() { return kRules; }

}  // namespace smtpscope
