// What `show --format injection-log` writes, read back: the same conversation and the same verdict, but for what only
// the proxy knows.
#include <algorithm>

#include "capture/diagnosis/rule.h"
#include "capture/diagnosis/script.h"
#include "capture/transcript/injection_log.h"
#include "tests/capture/foreign/read_log.h"
#include "tests/catch.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

/// The log of a script.
struct Written {
  Transcript transcript;
  std::string log;
  Transcript expected;  ///< of the same records, but for closes, with times as the log has them
};

constexpr int64_t kSecond_us = 1'000'000;

SessionFacts as_in_log(const SessionFacts& facts) {
  SessionFacts known;
  known.icid = facts.icid;
  known.started_us = facts.started_us / 1'000'000 * 1'000'000;
  known.sender.ip = facts.sender.ip;
  known.source = "injection-log";
  known.resolution_us = 1'000'000;
  return known;
}

Written write_script(std::string_view script) {
  Written written;
  std::optional<InjectionLog> log;
  std::optional<SessionAnalyzer> analyzer;
  int64_t began_us = 0, first_us = -1, last_us = 0;
  const auto coarse = [&](int64_t at_us) {
    const int64_t second_us = (began_us + at_us) / kSecond_us * kSecond_us;
    if (first_us < 0) first_us = second_us;
    last_us = second_us - first_us;
    return last_us;
  };
  const PlayedScript played = play_script(script, [&](const Record& record) {
    if (const auto* facts = std::get_if<SessionFacts>(&record)) {
      began_us = facts->started_us;
      log.emplace(*facts);
      analyzer.emplace(as_in_log(*facts));
      analyzer->connected({GatewayConnect::State::connected, 0, 0, ""});
    }
    log->record(record, written.log);
    if (const auto* chunk = std::get_if<Chunk>(&record))
      analyzer->chunk({chunk->from, coarse(chunk->at_us), chunk->offset, chunk->bytes});
    if (const auto* hole = std::get_if<Hole>(&record))
      analyzer->hole({hole->from, coarse(hole->at_us), hole->offset, hole->length, hole->reason});
    if (std::holds_alternative<SessionEnd>(record)) {
      SessionEnd known;
      known.at_us = last_us;
      written.expected = analyzer->finish(known);
    }
  });
  REQUIRE(played.error == "");
  log->finish(written.log);
  written.transcript = played.transcript;
  return written;
}

/// What both sides said: closes and remarks are no part of it, and indices are of what is.
std::string said(const Transcript& t) {
  std::vector<int> place(t.events.size(), -1);
  int count = 0;
  for (size_t i = 0; i < t.events.size(); ++i) {
    const Event::Kind kind = t.events[i].kind;
    if (kind != Event::Kind::close && kind != Event::Kind::note && kind != Event::Kind::connect) place[i] = count++;
  }
  const auto at = [&](int32_t event) {
    return (event < 0 ? std::string("-") : std::to_string(place[static_cast<size_t>(event)])) + ' ';
  };
  std::string text, tls_of_sender, tls_of_gateway;  // the log writes lines: TLS has none, so its sides' order is lost
  for (size_t i = 0; i < t.events.size(); ++i) {
    const Event& e = t.events[i];
    if (place[i] < 0) continue;
    std::string& into = e.kind != Event::Kind::tls ? text : e.from == From::sender ? tls_of_sender : tls_of_gateway;
    into += std::string(name(e.kind)) + ' ' + std::string(name(e.from)) + ' ' + std::string(name(e.phase)) + ' ' +
            std::string(name(e.verb)) + ' ' + std::to_string(e.code) + " answers " + at(e.answers) +
            std::to_string(e.offset) + '+' + std::to_string(e.bytes) + ' ' + (e.complete ? "" : "cut ") +
            (e.bare_lf ? "bare " : "") + e.sha256 + ' ' + e.text + '\n';
  }
  text += tls_of_sender + tls_of_gateway;
  for (const Message& m : t.messages) {
    text += "message " + m.mail_from.value_or("?") + ' ' + at(m.mail) + at(m.mail_reply) + at(m.data) +
            at(m.data_reply) + at(m.body) + at(m.final_reply) + std::to_string(m.bytes) + ' ' + m.sha256 + ' ' +
            m.queue_id + (m.ended ? " ended" : "") + (m.accepted ? " accepted" : "") +
            (m.withdrawn ? " withdrawn" : "");
    for (const Recipient& r : m.recipients) text += " <" + r.address + "> " + std::to_string(r.code);
    text += '\n';
  }
  return text;
}

std::string judged(const Transcript& t) {
  std::string text = std::string(name(t.verdict)) + ' ';
  if (t.breakdown) text += t.breakdown->code + ' ' + t.breakdown->got + ' ' + t.breakdown->why;
  for (const Finding& note : t.notes) text += "\nnote " + note.code + ' ' + note.got;
  return text;
}

/// Did the original's verdict come from something that was said, so that the log shows it too?
bool from_what_was_said(const Transcript& t) {
  if (t.interrupted || t.connect.state != GatewayConnect::State::connected) return false;
  if (!t.breakdown) return t.verdict == Verdict::delivered;
  const Rule* rule = find_rule(t.breakdown->code);
  return rule != nullptr && rule->reply.from != 0;
}

void check_round_trip(std::string_view script) {
  INFO(script);
  const Written written = write_script(script);
  INFO(written.log);
  const ReadLog read = read_log(written.log, 1000);
  CHECK(read.report.error == "");
  CHECK(read.report.cut == 0);
  if (written.log.empty()) {
    CHECK(read.sessions.empty());
    return;
  }
  REQUIRE(read.sessions.size() == 1);
  const Transcript& t = read.sessions[0];
  CHECK(!t.session.begins_late);
  CHECK(said(t) == said(written.transcript));
  CHECK(judged(t) == judged(written.expected));
  CHECK(t.capture.masked_bytes == written.transcript.capture.masked_bytes);
  CHECK(t.capture.gaps == written.transcript.capture.gaps);
  if (from_what_was_said(written.transcript)) {
    CHECK(t.verdict == written.transcript.verdict);
    CHECK((t.breakdown ? t.breakdown->code : "") ==
          (written.transcript.breakdown ? written.transcript.breakdown->code : ""));
  } else {
    const std::string now = std::string(name(t.verdict)) + (t.breakdown ? t.breakdown->code : "");
    INFO("read back: " << now);
    CHECK((t.verdict == written.transcript.verdict || t.verdict == Verdict::unknown));
  }
  if (t.verdict == Verdict::unknown) CHECK(!t.summary.empty());
}

}  // namespace

TEST_CASE("round trip: the scripts of all rules") {
  const TimeZone utc("UTC");
  for (const Rule* rule : all_rules()) {
    INFO(rule->code);
    check_round_trip(rule->fires);
    check_round_trip(rule->quiet);
  }
}
