#include "capture/transcript/json_reader.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "capture/smtp/syntax.h"

namespace smtpscope {
namespace {

using nlohmann::json;

/// Thrown and caught in this file only.
struct Malformed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One JSON object with the path that leads to it. Missing and null are one: "not known", unless a field is required.
class Object {
 public:
  Object(const json& value, std::string path) : value_(value), path_(std::move(path)) {
    if (!value_.is_object()) throw Malformed(where() + "not an object");
  }

  std::string string(const char* key) const {
    const json* v = find(key);
    if (v == nullptr) return {};
    if (!v->is_string()) bad(key, "not a string");
    return v->get<std::string>();
  }
  std::string required_string(const char* key) const {
    if (find(key) == nullptr) bad(key, "missing");
    return string(key);
  }
  template <class T>
  T number(const char* key) const {
    const json* v = find(key);
    if (v == nullptr) return 0;
    constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<T>::max());
    if (!v->is_number_unsigned() || v->get<uint64_t>() > kMax)
      bad(key, "not a whole number from 0 to " + std::to_string(kMax));
    return static_cast<T>(v->get<uint64_t>());
  }
  int64_t ms(const char* key, int64_t missing = 0) const {
    constexpr double kMost = 9e12;  // milliseconds: 285 years, below which a double holds every microsecond
    const json* v = find(key);
    if (v == nullptr) return missing;
    if (!v->is_number() || !(std::abs(v->get<double>()) <= kMost)) bad(key, "not a number of milliseconds");
    return std::llround(v->get<double>() * 1000.0);
  }
  bool boolean(const char* key, bool missing) const {
    const json* v = find(key);
    if (v == nullptr) return missing;
    if (!v->is_boolean()) bad(key, "neither true nor false");
    return v->get<bool>();
  }
  /// The value of an enumeration, by its spelling.
  template <class Value>
  Value word(const char* key, std::optional<Value> (*of)(std::string_view), Value missing) const {
    if (find(key) == nullptr) return missing;
    const std::string text = string(key);
    const std::optional<Value> value = of(text);
    if (!value) bad(key, "unknown value \"" + text + '"');
    return *value;
  }
  /// Index of one of `count` events, -1 if null.
  int32_t index(const char* key, size_t count) const {
    if (find(key) == nullptr) return -1;
    const auto value = number<int32_t>(key);
    if (static_cast<size_t>(value) >= count) bad(key, "there is no such event");
    return value;
  }
  std::optional<Object> object(const char* key) const {
    const json* v = find(key);
    if (v == nullptr) return std::nullopt;
    return Object(*v, path_ + key + '/');
  }
  Object required_object(const char* key) const {
    if (find(key) == nullptr) bad(key, "missing");
    return *object(key);
  }
  /// Calls use(element) for every object in an array.
  template <class Use>
  void each(const char* key, Use use) const {
    const json* v = find(key);
    if (v == nullptr) return;
    if (!v->is_array()) bad(key, "not an array");
    for (size_t i = 0; i < v->size(); ++i) use(Object((*v)[i], path_ + key + '/' + std::to_string(i) + '/'));
  }
  std::vector<std::string> strings(const char* key) const {
    std::vector<std::string> out;
    const json* v = find(key);
    if (v == nullptr) return out;
    if (!v->is_array()) bad(key, "not an array");
    for (const json& element : *v) {
      if (!element.is_string()) bad(key, "not an array of strings");
      out.push_back(element.get<std::string>());
    }
    return out;
  }
  bool has(const char* key) const { return find(key) != nullptr; }
  size_t length(const char* key) const {
    const json* v = find(key);
    return v == nullptr ? 0 : v->size();
  }
  [[noreturn]] void bad(const char* key, const std::string& what) const { throw Malformed(path_ + key + ": " + what); }

 private:
  const json* find(const char* key) const {
    const auto at = value_.find(key);
    return at == value_.end() || at->is_null() ? nullptr : &*at;
  }
  std::string where() const { return path_.empty() ? "" : path_.substr(0, path_.size() - 1) + ": "; }

  const json& value_;
  std::string path_;
};

Finding read_finding(const Object& o, size_t events) {
  Finding f;
  f.code = o.required_string("code");
  f.phase = o.word("phase", phase_of, f.phase);
  f.party = o.word("party", party_of, f.party);
  f.confidence = o.word("confidence", confidence_of, f.confidence);
  f.event = o.index("event", events);
  f.at_us = o.ms("at_ms");
  if (const auto stream = o.object("stream")) {
    f.stream = stream->word("from", from_of, f.stream);
    f.offset = stream->number<uint64_t>("offset");
    f.length = stream->number<uint64_t>("length");
  }
  f.expected = o.string("expected");
  f.got = o.string("got");
  f.why = o.string("why");
  f.advice = o.string("advice");
  f.references = o.strings("references");
  return f;
}

/// A command without a name in "verb" is blank, HTTP or unknown; its line tells which.
Verb read_verb(const Object& o, const std::string& text) {
  const std::string verb = o.string("verb");
  if (verb == name(Verb::auth_response)) return Verb::auth_response;
  const Verb parsed = parse_verb(verb.empty() ? raw(text) : verb);
  if (verb.empty()) return parsed == Verb::none || parsed == Verb::http ? parsed : Verb::unknown;
  return name(parsed) == verb ? parsed : Verb::unknown;
}

Event read_event(const Object& o, size_t events) {
  Event e;
  if (o.string("kind").empty()) o.bad("kind", "missing");
  e.kind = o.word("kind", event_kind_of, e.kind);
  e.from = o.word("from", from_of, e.from);
  e.phase = o.word("phase", phase_of, e.phase);
  e.at_us = o.ms("at_ms");
  e.end_us = o.ms("end_ms", e.at_us);
  e.answers = o.index("answers", events);
  e.code = o.number<uint16_t>("code");
  e.how = o.word("how", close_how_of, e.how);
  e.text = o.string(e.kind == Event::Kind::body ? "head" : "text");
  if (e.kind == Event::Kind::command) e.verb = read_verb(o, e.text);
  e.offset = o.number<uint64_t>("offset");
  e.bytes = o.number<uint64_t>("bytes");
  e.lines = o.number<uint64_t>(e.kind == Event::Kind::tls ? "records" : "lines");
  e.sha256 = o.string("sha256");
  e.complete = o.boolean("complete", true);
  e.truncated = o.boolean("truncated", false);
  e.bare_lf = o.boolean("bare_lf", false);
  return e;
}

Message read_message(const Object& o, size_t events) {
  Message m;
  if (o.has("mail_from")) m.mail_from = o.string("mail_from");
  if (o.has("size_declared")) m.size_declared = o.number<uint64_t>("size_declared");
  o.each("recipients", [&](const Object& r) {
    m.recipients.push_back(
        {r.string("address"), r.index("command", events), r.index("reply", events), r.number<uint16_t>("code")});
  });
  m.bytes = o.number<uint64_t>("bytes");
  m.sha256 = o.string("sha256");
  m.queue_id = o.string("queue_id");
  m.accepted = o.boolean("accepted", false);
  m.ended = o.boolean("ended", false);
  m.withdrawn = o.boolean("withdrawn", false);
  m.bdat = o.boolean("bdat", false);
  if (const auto at = o.object("events")) {
    m.mail = at->index("mail", events);
    m.mail_reply = at->index("mail_reply", events);
    m.data = at->index("data", events);
    m.data_reply = at->index("data_reply", events);
    m.body = at->index("body", events);
    m.final_reply = at->index("final_reply", events);
  }
  return m;
}

Endpoint read_endpoint(const Object& o) { return {o.required_string("ip"), o.number<uint16_t>("port")}; }

void read_session(const Object& o, Transcript& t) {
  SessionFacts& s = t.session;
  s.id = o.required_string("id");
  s.icid = o.number<uint64_t>("icid");
  s.instance = o.string("instance");
  const Object sender = o.required_object("sender");
  s.sender = read_endpoint(sender);
  if (const auto via = sender.object("via")) s.via = read_endpoint(*via);
  const Object gateway = o.required_object("gateway");
  s.gateway = read_endpoint(gateway);
  s.sees = gateway.string("sees");
  s.header = gateway.string("header");
  s.sees_port = gateway.number<uint16_t>("sees_port");
  const auto started = parse_iso_utc(o.required_string("started"));
  if (!started) o.bad("started", "not a time like 2026-11-24T02:06:41.123456Z");
  s.started_us = *started;
  t.duration_us = o.ms("duration_ms");

  const std::string connect = gateway.string("connect");
  using State = GatewayConnect::State;
  if (connect == "connected")
    t.connect.state = State::connected;
  else if (connect == "failed")
    t.connect.state = State::failed;
  else if (!connect.empty() && connect != "pending")
    gateway.bad("connect", "unknown value \"" + connect + '"');
  t.connect.took_us = gateway.ms("connect_ms");
  t.connect.at_us = gateway.ms("connect_at_ms");
  t.connect.error = gateway.string("error");
  if (const auto icmp = gateway.object("icmp")) t.connect.icmp = {icmp->string("from"), icmp->string("says")};
}

StreamTotals read_stream(const Object& streams, const char* key) {
  const auto o = streams.object(key);
  if (!o) return {};
  return {o->number<uint64_t>("bytes"), o->string("xxh128")};
}

std::optional<LegTransport> read_leg(const Object& transport, const char* key) {
  const auto o = transport.object(key);
  if (!o) return std::nullopt;
  return LegTransport{o->number<uint32_t>("rtt_us"),       o->number<uint32_t>("retransmits"),
                      o->number<uint32_t>("mss"),          o->number<uint32_t>("unacked"),
                      o->number<uint32_t>("unsent_bytes"), o->number<uint32_t>("window_bytes"),
                      o->number<uint32_t>("out_of_order"), o->number<uint32_t>("sacked")};
}

void read_transport(const Object& o, Transcript& t) {
  t.sender_leg = read_leg(o, "sender");
  t.gateway_leg = read_leg(o, "gateway");
  o.each("samples", [&](const Object& sample) {
    t.samples.push_back({sample.ms("at_ms"), read_leg(sample, "sender"), read_leg(sample, "gateway")});
  });
  if (const auto syn = o.object("syn"))
    t.session.syn = SynFacts{syn->number<uint8_t>("ttl"),
                             syn->number<uint16_t>("mss"),
                             static_cast<int8_t>(syn->has("window_scale") ? syn->number<int8_t>("window_scale") : -1),
                             syn->boolean("sack", false),
                             syn->boolean("timestamps", false),
                             syn->boolean("ecn", false)};
}

std::optional<ReverseLookUp> read_ptr(const Object& sender) {
  const auto o = sender.object("ptr");
  if (!o) return std::nullopt;
  return ReverseLookUp{o->string("status"),           o->string("name"),  o->string("forward_status"),
                       o->boolean("verified", false), o->ms("lookup_ms"), o->ms("forward_ms")};
}

std::optional<IdentQuery> read_ident(const Object& sender) {
  const auto o = sender.object("ident");
  if (!o) return std::nullopt;
  return IdentQuery{o->string("outcome"), o->ms("at_ms"), o->ms("took_ms")};
}

void read_capture(const Object& o, Transcript& t) {
  t.complete = o.boolean("complete", true);
  t.interrupted = o.boolean("interrupted", false);
  if (o.has("body")) t.session.body_policy = o.string("body");
  t.session.body_limit = o.number<uint64_t>("body_limit");
  t.session.filter = o.string("filter");
  t.session.source = o.string("source");
  t.session.resolution_us = std::max<int64_t>(o.ms("resolution_ms"), 0);
  t.session.begins_late = o.boolean("begins_late", false);
  t.capture = {o.number<uint64_t>("truncated_bytes"), o.number<uint64_t>("masked_bytes"), o.number<uint64_t>("gaps")};
  t.capture_loss = o.string("loss");
  if (const auto recording = o.object("recording")) {
    t.recording = recording->string("file");
    const auto from = recording->number<uint64_t>("from");
    const auto to = recording->number<uint64_t>("to");
    if (to < from) recording->bad("to", "below \"from\"");
    t.recording_bytes = {from, to - from};
  }
}

Transcript read_transcript(const json& value) {
  const Object o(value, "");
  const std::string schema = o.required_string("schema");
  if (schema != kTranscriptSchema && !schema.starts_with(std::string(kTranscriptSchema) + '.'))
    o.bad("schema", '"' + schema + "\" is not known to this version, which reads " + std::string(kTranscriptSchema));
  Transcript t;
  read_session(o, t);
  if (!o.has("verdict")) o.bad("verdict", "missing");
  t.verdict = o.word("verdict", verdict_of, t.verdict);
  t.summary = o.string("summary");
  const size_t events = o.length("events");
  o.each("events", [&](const Object& e) { t.events.push_back(read_event(e, events)); });
  if (const auto breakdown = o.object("breakdown")) t.breakdown = read_finding(*breakdown, events);
  o.each("notes", [&](const Object& f) { t.notes.push_back(read_finding(f, events)); });
  o.each("messages", [&](const Object& m) { t.messages.push_back(read_message(m, events)); });
  if (const auto streams = o.object("streams")) {
    t.sender_stream = read_stream(*streams, "sender");
    t.gateway_stream = read_stream(*streams, "gateway");
  }
  if (const auto transport = o.object("transport")) read_transport(*transport, t);
  t.ptr = read_ptr(o.required_object("sender"));
  t.ident = read_ident(o.required_object("sender"));
  if (const auto tls = o.object("tls"))
    t.tls = TlsFacts{tls->string("mode"), tls->string("client_version"), tls->string("server_version"),
                     tls->string("sni"),  tls->string("alert"),          tls->boolean("application_data", false)};
  if (const auto capture = o.object("capture")) read_capture(*capture, t);
  return t;
}

}  // namespace

std::optional<Transcript> read_json(std::string_view line, std::string* error) noexcept {
  try {
    return read_transcript(json::parse(line));
  } catch (const std::exception& e) {
    if (error != nullptr) {
      try {
        *error = e.what();
      } catch (const std::exception&) {
        error->clear();
      }
    }
  }
  return std::nullopt;
}

std::optional<int64_t> parse_iso_utc(std::string_view text) {
  const auto digits = [&](size_t at, size_t count) {
    int value = 0;
    for (size_t i = at; i < at + count; ++i) {
      if (i >= text.size() || text[i] < '0' || text[i] > '9') return -1;
      value = value * 10 + (text[i] - '0');
    }
    return value;
  };
  const auto is = [&](size_t at, char c) { return at < text.size() && text[at] == c; };
  if (!is(4, '-') || !is(7, '-') || !is(10, 'T') || !is(13, ':') || !is(16, ':')) return std::nullopt;
  const int year = digits(0, 4), month = digits(5, 2), day = digits(8, 2);
  const int hour = digits(11, 2), minute = digits(14, 2), second = digits(17, 2);
  if (year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 || second < 0) return std::nullopt;
  size_t at = 19;
  int64_t fraction_us = 0;
  if (is(at, '.')) {
    int64_t unit = 100'000;
    for (++at; at < text.size() && digits(at, 1) >= 0 && unit > 0; ++at, unit /= 10)
      fraction_us += digits(at, 1) * unit;
  }
  if (!is(at, 'Z') || at + 1 != text.size()) return std::nullopt;

  using namespace std::chrono;
  const year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                            std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const auto time = sys_days(date) + hours(hour) + minutes(minute) + seconds(second);
  return duration_cast<microseconds>(time.time_since_epoch()).count() + fraction_us;
}

}  // namespace smtpscope
