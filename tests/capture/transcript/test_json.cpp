// The transcript's JSON: its spelling (the contract), the round trip, the schema, and what a broken line does.
#include <chrono>
#include <nlohmann/json.hpp>

#include "capture/transcript/json_reader.h"
#include "capture/transcript/json_text.h"
#include "capture/transcript/json_writer.h"
#include "tests/capture/transcript/sample.h"
#include "tests/capture/transcript/schema.h"

using namespace smtpscope;
using namespace smtpscope::test;
using nlohmann::json;

namespace {

std::string written(const Transcript& t) {
  std::string out;
  append_json(out, t);
  return out;
}

Transcript reread(const Transcript& t) {
  std::string error;
  const auto back = read_json(written(t), &error);
  INFO(error);
  REQUIRE(back);
  return *back;
}

/// A session that uses every field there is.
Transcript everything() {
  Transcript t = sample({S(0.010, "GET / HTTP/1.1"),
                         S(0.011, ""),
                         G(0.0312, "220 gw.example ESMTP"),
                         S(1.045, "EHLO \xC3\xBC \x01\\"),
                         G(1.046, "250-gw.example\r\n250 STARTTLS"),
                         S(1.05, "AUTH PLAIN AGEAYg=="),
                         G(1.06, "535 #5.7.8 no"),
                         S(1.07, "MAIL FROM:<a@b> SIZE=0"),
                         G(1.08, "250 ok"),
                         S(1.09, "RCPT TO:<x@y>\r\nRCPT TO:<z@y>"),
                         G(1.10, "250 ok\r\nno code here"),
                         S(1.11, "DATA"),
                         G(1.12, "354 go"),
                         S(2.0, "Subject: \"hello\"\r\n\r\nbody\xFF"),
                         S(3.0, "."),
                         G(3.5, "250 2.0.0 Ok: queued as 4F1A2\xE9"),
                         S(3.6, "MAIL FROM:<c@b>"),
                         G(3.7, "421 4.4.2 bye"),
                         G(3.8, "RST"),
                         S(3.9, "TIMEOUT")},
                        4.000001);
  t.events.front().text = "connected";
  Event tls;
  tls.kind = Event::Kind::tls;
  tls.from = From::gateway;
  tls.phase = Phase::tls;
  tls.at_us = 3'950'000;
  tls.end_us = 3'960'000;
  tls.text = "encrypted";
  tls.lines = 3;
  tls.truncated = tls.bare_lf = true;
  tls.complete = false;
  t.events.push_back(tls);
  Event note;
  note.at_us = note.end_us = 3'970'000;
  note.text = "the proxy's own";
  t.events.push_back(note);
  t.verdict = Verdict::unknown;
  t.summary = "All of it.";
  Finding f = *unknown_user().breakdown;
  f.event = -1;
  f.phase = Phase::end_of_data;
  f.party = Party::policy;
  f.confidence = Confidence::possible;
  f.stream = From::sender;
  t.breakdown = f;
  f.code = "other";
  f.event = 3;
  f.references.clear();
  t.notes = {f, f};
  t.tls = TlsFacts{"starttls", "TLS 1.3", "TLS 1.2", "gw.example", "sender: handshake_failure(40)", true};
  t.capture = {5, 6, 7};
  t.complete = false;
  t.interrupted = true;
  t.capture_loss = "disk: No space left on device";
  t.session.body_policy = "headers";
  t.session.body_limit = 1 << 20;
  t.gateway_leg = LegTransport{1, 2, 3, 4, 5, 6, 7, 8};
  t.samples = {{5'000'000, LegTransport{1, 2, 3}, std::nullopt}, {6'000'000, std::nullopt, t.gateway_leg}};
  t.session.syn = SynFacts{64, 1460, -1, true, true, false};
  t.ident = IdentQuery{"no-answer", 1'200, 7'000'000};
  t.connect.icmp = {"2001:db8::1", "admin-prohibited"};
  t.ptr = ReverseLookUp{"ok", "mx.sender.example", "timeout", false, 12'100, 35'000'000};
  return t;
}

}  // namespace

TEST_CASE("a transcript is spelled as the contract says") {
  const json j = json::parse(written(unknown_user()));
  CHECK(j["schema"] == "smtpscope.transcript/1");
  CHECK(j["id"] == "01KATZ9FXGQ8N5C4R2T7V6W0YB");
  CHECK(j["icid"] == 6);
  CHECK(j["sender"] == json::parse(R"({"ip": "203.0.113.9", "port": 41234, "ptr": null})"));
  CHECK(j["gateway"]["connect_ms"] == 0.4);
  CHECK(j["gateway"]["sees"] == "sender");
  CHECK(j["started"] == "2026-11-24T02:06:41.123456Z");
  CHECK(j["ended"] == "2026-11-24T02:06:41.462656Z");
  CHECK(j["duration_ms"] == 339.2);
  CHECK(j["verdict"] == "breakdown");
  const json& b = j["breakdown"];
  CHECK(b["event"] == 7);
  CHECK(b["at_ms"] == 312.4);
  CHECK(b["stream"] == json::parse(R"({"from": "gateway", "offset": 101, "length": 70})"));
  CHECK(b["references"] == json::parse(R"(["RFC 5321 4.2.3", "RFC 3463 3.2"])"));
  CHECK(j["notes"] == json::array());
  CHECK(j["tls"] == nullptr);
  CHECK(j["transport"] ==
        json::parse(R"({"sender": {"rtt_us": 210, "retransmits": 0, "mss": 1448}, "gateway": null})"));
  CHECK(j["streams"]["sender"]["xxh128"] == "0123456789abcdef0123456789abcdef");
  CHECK(j["capture"]["recording"] == json::parse(R"({"file": "2026-11-24.pcapng", "from": 4096, "to": 12288})"));

  CHECK(j["events"][0] ==
        json::parse(R"({"n": 0, "at_ms": 0, "kind": "connect", "from": "sender", "phase": "connect"})"));
  CHECK(j["events"][1] == json::parse(R"({"n": 1, "at_ms": 31.2, "gap_ms": 31.2, "kind": "reply", "from": "gateway",
      "phase": "banner", "answers": null, "code": 220, "enhanced": null, "text": "220 gw.example ESMTP", "offset": 0,
      "bytes": 22})"));
  CHECK(j["events"][3]["answers"] == 2);
  CHECK(j["events"][3]["text"] == "250-gw.example\n250-PIPELINING\n250-SIZE 20971520\n250 8BITMIME");
  CHECK_FALSE(j["events"][3].contains("gap_ms"));  // 0.8 ms
  CHECK(j["events"][4]["verb"] == "MAIL");
  CHECK(j["events"][7]["enhanced"] == "5.1.1");
  CHECK(j["events"][10]["how"] == "fin");
  const json& m = j["messages"][0];
  CHECK(m["mail_from"] == "anna@sender.example");
  CHECK(m["size_declared"] == 5000);
  CHECK(m["recipients"][0]["address"] == "bob@gw.example");
  CHECK(m["recipients"][0]["code"] == 550);
  CHECK(m["recipients"][0]["text"] == "550 5.1.1 <bob@gw.example>: Recipient address rejected: User unknown");
  CHECK(m["reply"] == nullptr);
  CHECK(m["queue_id"] == nullptr);
  CHECK(m["sha256"] == nullptr);
  CHECK(m["accepted"] == false);
}

TEST_CASE("Cisco's #5.7.8 is an enhanced code, and a reply without a code has null") {
  const json j = json::parse(written(everything()));
  std::vector<json> enhanced, codes;
  for (const json& e : j["events"])
    if (e["kind"] == "reply") enhanced.push_back(e["enhanced"]), codes.push_back(e["code"]);
  CHECK(std::count(enhanced.begin(), enhanced.end(), json("5.7.8")) == 1);
  CHECK(std::count(codes.begin(), codes.end(), json(nullptr)) == 1);
}

TEST_CASE("what is written is one line and is read back whole") {
  for (const Transcript& t : {unknown_user(), everything(), Transcript{}, sample({}, 0)}) {
    const std::string line = written(t);
    CHECK(line.find('\n') == std::string::npos);
    const Transcript back = reread(t);
    CHECK(written(back) == line);
    CHECK(back.session.started_us == t.session.started_us);
    CHECK(back.session.instance == t.session.instance);
    CHECK(back.duration_us == t.duration_us);
    CHECK(back.connect.state == t.connect.state);
    CHECK(back.connect.took_us == t.connect.took_us);
    CHECK(back.complete == t.complete);
    CHECK(back.interrupted == t.interrupted);
    CHECK(back.recording_bytes == t.recording_bytes);
    CHECK(back.sender_stream == t.sender_stream);
    CHECK(back.gateway_leg == t.gateway_leg);
    CHECK(back.notes.size() == t.notes.size());
    REQUIRE(back.events.size() == t.events.size());
    for (size_t i = 0; i < t.events.size(); ++i) {
      const Event &a = back.events[i], &b = t.events[i];
      INFO(i << ": " << b.text);
      CHECK(a.kind == b.kind);
      CHECK(a.verb == b.verb);
      CHECK(a.text == b.text);
      CHECK(a.at_us == b.at_us);
      CHECK(a.end_us == b.end_us);
      CHECK(a.answers == b.answers);
      CHECK(a.lines == b.lines);
      CHECK(a.bytes == b.bytes);
      CHECK(a.complete == b.complete);
    }
    REQUIRE(back.messages.size() == t.messages.size());
    for (size_t i = 0; i < t.messages.size(); ++i) {
      CHECK(back.messages[i].size_declared == t.messages[i].size_declared);
      CHECK(back.messages[i].recipients.size() == t.messages[i].recipients.size());
      CHECK(back.messages[i].final_reply == t.messages[i].final_reply);
      CHECK(back.messages[i].queue_id == t.messages[i].queue_id);
    }
  }
}

TEST_CASE("transcripts are as the published schema says") {
  Transcript failed = sample({}, 3.0);
  failed.connect = {GatewayConnect::State::failed, 1500, 1400, "ECONNREFUSED"};
  for (const Transcript& t : {unknown_user(), everything(), failed, sample({}, 0)}) require_valid(written(t));
}

TEST_CASE("no text makes the JSON invalid") {
  std::string out;
  append_json_string(out, std::string_view("a\"\\\n\t\r\0\x1f\x7f\xC3\xBC\xFF\xE2\x82", 14));
  CHECK(out == "\"a\\\"\\\\\\n\\t\\r\\u0000\\u001f\\u007f\xC3\xBC\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
  Transcript t = unknown_user();
  t.session.filter = "\xFF\x01";
  t.events[1].text = "\xED\xA0\x80";
  CHECK(json::accept(written(t)));
}

TEST_CASE("times are decimal milliseconds to the microsecond, and ISO in UTC") {
  for (const auto& [us_value, text] : std::vector<std::pair<int64_t, std::string>>{{0, "0"},
                                                                                   {5, "0.005"},
                                                                                   {50, "0.05"},
                                                                                   {31'200, "31.2"},
                                                                                   {2'000, "2"},
                                                                                   {-1'500, "-1.5"},
                                                                                   {1'234'567, "1234.567"}}) {
    char out[kJsonMsSize];
    CHECK(std::string(out, put_json_ms(out, us_value)) == text);
  }
  CHECK(iso_utc(0) == "1970-01-01T00:00:00.000000Z");
  CHECK(iso_utc(-1) == "1969-12-31T23:59:59.999999Z");
  CHECK(iso_utc(INT64_MAX) == "9999-12-31T23:59:59.999999Z");
  CHECK(iso_utc(INT64_MIN) == "0000-01-01T00:00:00.000000Z");
  for (int64_t t : {int64_t{0}, int64_t{-1}, int64_t{951'782'400'000'001}, int64_t{1'795'486'001'123'456}})
    CHECK(parse_iso_utc(iso_utc(t)) == t);
  CHECK(parse_iso_utc("2026-11-24T02:06:41Z") == 1'795'486'001'000'000);
  for (const char* bad : {"", "2026-11-24", "2026-02-30T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T02:06:41",
                          "2026-11-24T02:06:41.1234567Z", "2026-11-24 02:06:41Z", "-026-11-24T02:06:41Z"})
    CHECK_FALSE(parse_iso_utc(bad));
}

TEST_CASE("a line that is no transcript is refused with the place and the reason") {
  const auto refused = [](json value) {
    std::string error;
    CHECK_FALSE(read_json(value.dump(), &error));
    return error;
  };
  const json good = json::parse(written(unknown_user()));
  const auto with = [&](const char* pointer, json value) {
    json j = good;
    j[json::json_pointer(pointer)] = std::move(value);
    return j;
  };
  CHECK(refused(with("/events/3/code", "250")) == "events/3/code: not a whole number from 0 to 65535");
  CHECK(refused(with("/events/3/code", 70000)) == "events/3/code: not a whole number from 0 to 65535");
  CHECK(refused(with("/events/3/answers", 12)) == "events/3/answers: there is no such event");
  CHECK(refused(with("/events/3/answers", -1)).starts_with("events/3/answers: not a whole number"));
  CHECK(refused(with("/events/3", 5)) == "events/3: not an object");
  CHECK(refused(with("/events", "no")) == "events: not an array");
  CHECK(refused(with("/verdict", "maybe")) == "verdict: unknown value \"maybe\"");
  CHECK(refused(with("/breakdown/event", 99)) == "breakdown/event: there is no such event");
  CHECK(refused(with("/started", "yesterday")) == "started: not a time like 2026-11-24T02:06:41.123456Z");
  CHECK(refused(with("/duration_ms", 1e300)) == "duration_ms: not a number of milliseconds");
  CHECK(refused(with("/schema", "smtpscope.transcript/2")).find("is not known to this version") != std::string::npos);
  CHECK(refused(json::array()) == "not an object");
  json no_id = good;
  no_id.erase("id");
  CHECK(refused(no_id) == "id: missing");
  std::string error;
  CHECK_FALSE(read_json("", &error));
  CHECK_FALSE(error.empty());
  CHECK_FALSE(read_json(written(unknown_user()).substr(0, 500), nullptr));  // a torn line
}

TEST_CASE("fields of later minor versions are ignored, those of earlier ones may be missing") {
  json later = json::parse(written(unknown_user()));
  later["schema"] = "smtpscope.transcript/1.4";
  later["weather"] = {{"in", "Riga"}};
  later["events"][0]["colour"] = 7;
  CHECK(read_json(later.dump(), nullptr));
  json least = json::parse(R"({"schema": "smtpscope.transcript/1", "id": "x", "verdict": "unknown",
      "started": "2026-11-24T02:06:41.123456Z", "sender": {"ip": "::1"}, "gateway": {"ip": "::2"}})");
  CHECK(read_json(least.dump(), nullptr));
}

TEST_CASE("writing a transcript takes microseconds") {
  const Transcript t = everything();
  std::string out;
  double best_us = 1e9;
  for (int round = 0; round < 20; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i) {
      out.clear();
      append_json(out, t);
    }
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    best_us = std::min(best_us, took.count() / 100);
  }
  WARN("a transcript of " << t.events.size() << " events and " << out.size() << " bytes is written in " << best_us
                          << " us");
  CHECK(best_us < 500);  // generous: sanitizers, a busy machine
}

TEST_CASE("whether there was a MAIL is told by mail_from itself, which may stand without the events of its message") {
  json j = json::parse(written(unknown_user()));
  j["messages"][0].erase("events");
  for (const json& from : {json("a@b.example"), json(""), json(nullptr)}) {
    j["messages"][0]["mail_from"] = from;
    const auto back = read_json(j.dump(), nullptr);
    REQUIRE(back);
    CHECK(json::parse(written(*back))["messages"][0]["mail_from"] == from);
  }
}
