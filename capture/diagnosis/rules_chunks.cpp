// Messages in chunks (BDAT, RFC 3030): sizes that are wrong, and messages that are not ended as they were begun. A
// chunk that stops is a matter of time (rules_time.cpp), a refused one of its reply (rules_data.cpp). What stands
// inside a chunk is counted, not read: no byte of it can end the message.
#include <fmt/core.h>

#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr Rule kRules[] = {
    {.code = "bdat-count-mismatch",
     .title = "The size that BDAT names is not that of the chunk",
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "as many bytes as BDAT announced, then a command",
     .why =
         "Behind the bytes that BDAT announced came text that is no command: the chunk was longer than announced, or "
         "shorter, and swallowed the beginning of the next command.",
     .advice =
         "Ask the sender to mend its software: it has to count the bytes as they go out, with CR LF for each line "
         "end. A message that was accepted all the same is not whole, or holds what does not belong there: it "
         "should be sent again. A firewall between that changes line ends does the same.",
     .references = {"RFC 3030 2"},
     .fires = "use hello mail rcpt\nS BDAT 12\nS~Subject: xyz\n\nS!~z\\r\\n\nG 250 2.0.0 12 bytes\nG 500 5.5.2 "
              "Error: bad syntax\nuse bye\n",
     .quiet = "use hello mail rcpt\nS BDAT 14\nS Subject: xyz\nS BDAT 0 LAST\nG 250 2.0.0 14 bytes\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (int32_t i = 0; i < count_of(v); ++i) {
         if (v.at(i)->verb != Verb::bdat) continue;
         int32_t next = i + 1;
         bool chunk = false;
         for (; next < count_of(v); ++next) {
           const Event& e = *v.at(next);
           if (e.kind == Event::Kind::body) chunk = e.complete;
           if (e.kind == Event::Kind::command && e.verb != Verb::none) break;
         }
         const Event* e = v.at(next);
         if (!chunk || e == nullptr || e->verb != Verb::unknown || e->at_us >= v.answered_at(i)) continue;
         Match m = match_event(v, next);
         m.phase = Phase::body;
         return m;
       }
       return std::nullopt;
     }},
    {.code = "bdat-then-data",
     .title = "The sender sent DATA in the middle of a message in chunks",
     .phase = Phase::data,
     .party = Party::sender,
     .expected = "BDAT up to the one with LAST, or RSET",
     .why = "A message that was begun with BDAT has to be ended with BDAT: DATA may not follow in the same message.",
     .advice = "Ask the sender to mend its software. If its log shows two messages here, it forgot the LAST of the "
               "first one.",
     .references = {"RFC 3030 2"},
     .fires = "use hello mail rcpt\nS BDAT 4\nS ab\nG 250 2.0.0 4 bytes\nS!DATA\nG 503 5.5.1 Error: DATA after "
              "BDAT\nuse bye\n",
     .quiet = "use hello mail rcpt\nS BDAT 4 LAST\nS ab\nuse accepted mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (const Message& message : v.messages) {
         const Event* data = v.at(message.data);
         if (!message.bdat || data == nullptr || data->verb != Verb::data) continue;
         Match m = match_event(v, message.data);
         m.phase = Phase::data;
         return m;
       }
       return std::nullopt;
     }},
    {.code = "message-given-up",
     .title = "The sender gave its message up between two chunks",
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "BDAT up to the one with LAST",
     .why = "The gateway had taken all chunks so far, and the sender took the message back before its last one.",
     .advice =
         "Nothing was refused here, so ask the sender for its log at this time: its queue file could not be read to "
         "its end, its filter stopped the message, or its user did. If it began the same message anew and that "
         "was accepted, nothing is lost.",
     .references = {"RFC 3030 2", "RFC 5321 4.1.1.5"},
     .fires = "use hello mail rcpt\nS BDAT 4\nS ab\nG 250 2.0.0 4 bytes\nS!RSET\nG 250 2.0.0 Ok\nuse bye\n",
     .quiet = "use hello mail rcpt\nS RSET\nG 250 2.0.0 Ok\nuse mail rcpt\nS BDAT 4 LAST\nS ab\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (const Message& message : v.messages) {
         const Event* begun = v.at(message.data);
         if (!message.bdat || message.ended || message.final_reply >= 0 || begun == nullptr ||
             begun->verb != Verb::bdat)
           continue;
         for (int32_t i = message.data + 1; i < count_of(v); ++i) {
           const Event& e = *v.at(i);
           if (e.verb == Verb::data || e.verb == Verb::unknown) break;  // rules of their own
           if (e.verb != Verb::rset && e.verb != Verb::quit && e.verb != Verb::mail && e.verb != Verb::ehlo &&
               e.verb != Verb::helo)
             continue;
           Match m = match_event(v, i);
           m.phase = Phase::body;
           m.why = fmt::format(
               "The gateway had taken {} bytes of the message, and the sender took it back with {} before its last "
               "chunk.",
               message.bytes, name(e.verb));
           return m;
         }
       }
       return std::nullopt;
     }},
};

}  // namespace

std::span<const Rule> rules_chunks() { return kRules; }

}  // namespace smtpscope
