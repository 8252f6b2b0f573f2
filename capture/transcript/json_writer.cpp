#include "capture/transcript/json_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "capture/smtp/syntax.h"
#include "capture/transcript/json_text.h"
#include "capture/transcript/plain.h"

namespace smtpscope {
namespace {

/// Appends keys (with their punctuation, as in `,"port":`) and values. A transcript is hundreds of pieces of a few
/// bytes: they are put together in a buffer on the stack and appended to `out` in large ones.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  ~Writer() { flush(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  template <size_t N>
  void raw(const char (&literal)[N]) {
    room(N);
    std::memcpy(at_, literal, N - 1);
    at_ += N - 1;
  }
  template <size_t N>
  void string(const char (&key)[N], std::string_view value) {
    raw(key);
    if (value.size() <= kSmall && plain_length(value) == value.size()) {
      put_quoted(value);
    } else {
      flush();
      append_json_string(out_, value);
    }
  }
  /// A word of our own vocabulary: nothing in it needs an escape.
  template <size_t N>
  void word(const char (&key)[N], std::string_view value) {
    raw(key);
    put_quoted(value);
  }
  template <size_t N>
  void string_or_null(const char (&key)[N], std::string_view value) {
    if (value.empty())
      null(key);
    else
      string(key, value);
  }
  template <size_t N>
  void number(const char (&key)[N], uint64_t value) {
    raw(key);
    room(kDigits);
    at_ = std::to_chars(at_, at_ + kDigits, value).ptr;
  }
  template <size_t N>
  void number_or_null(const char (&key)[N], uint64_t value) {
    if (value == 0)
      null(key);
    else
      number(key, value);
  }
  /// An event index; null for -1.
  template <size_t N>
  void index(const char (&key)[N], int32_t value) {
    if (value < 0)
      null(key);
    else
      number(key, static_cast<uint64_t>(value));
  }
  template <size_t N>
  void ms(const char (&key)[N], int64_t us) {
    raw(key);
    room(kJsonMsSize);
    at_ = put_json_ms(at_, us);
  }
  template <size_t N>
  void boolean(const char (&key)[N], bool value) {
    raw(key);
    if (value)
      raw("true");
    else
      raw("false");
  }
  template <size_t N>
  void null(const char (&key)[N]) {
    raw(key);
    raw("null");
  }

 private:
  static constexpr size_t kSmall = 1024, kDigits = 20;

  void room(size_t bytes) {
    if (static_cast<size_t>(buffer_.end() - at_) < bytes) flush();
  }
  void put_quoted(std::string_view text) {  // at most kSmall
    room(text.size() + 2);
    *at_++ = '"';
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    *at_++ = '"';
  }
  void flush() {
    out_.append(buffer_.data(), static_cast<size_t>(at_ - buffer_.data()));
    at_ = buffer_.data();
  }

  std::string& out_;
  std::array<char, 4 * kSmall> buffer_;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  char* at_ = buffer_.data();
};

/// a + b, which a senseless recording must not overflow.
int64_t sum(int64_t a, int64_t b) {
  int64_t result = 0;
  return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

void write_finding(Writer& w, const Finding& f) {
  w.string("{\"code\":", f.code);
  w.word(",\"phase\":", name(f.phase));
  w.word(",\"party\":", name(f.party));
  w.word(",\"confidence\":", name(f.confidence));
  w.index(",\"event\":", f.event);
  w.ms(",\"at_ms\":", f.at_us);
  w.word(",\"stream\":{\"from\":", name(f.stream));
  w.number(",\"offset\":", f.offset);
  w.number(",\"length\":", f.length);
  w.string("},\"expected\":", f.expected);
  w.string(",\"got\":", f.got);
  w.string(",\"why\":", f.why);
  w.string(",\"advice\":", f.advice);
  w.raw(",\"references\":[");
  for (size_t i = 0; i < f.references.size(); ++i) {
    if (i > 0) w.raw(",");
    w.string("", f.references[i]);
  }
  w.raw("]}");
}

void write_event(Writer& w, const Event& e, size_t n, int64_t gap_us) {
  using Kind = Event::Kind;
  w.number("{\"n\":", n);
  w.ms(",\"at_ms\":", e.at_us);
  if (gap_us >= 1000) w.ms(",\"gap_ms\":", gap_us);
  if (e.end_us != e.at_us) w.ms(",\"end_ms\":", e.end_us);
  w.word(",\"kind\":", name(e.kind));
  w.word(",\"from\":", name(e.from));
  w.word(",\"phase\":", name(e.phase));
  if (e.kind == Kind::reply) {
    w.index(",\"answers\":", e.answers);
    w.number_or_null(",\"code\":", e.code);
    w.string_or_null(",\"enhanced\":", enhanced_code(e.text));
  }
  if (e.kind == Kind::command) w.string_or_null(",\"verb\":", name(e.verb));
  if (e.kind == Kind::close) w.word(",\"how\":", name(e.how));
  const bool has_bytes =
      e.kind == Kind::reply || e.kind == Kind::command || e.kind == Kind::body || e.kind == Kind::tls;
  if (e.kind == Kind::body)
    w.string(",\"head\":", e.text);
  else if (has_bytes || !e.text.empty())
    w.string(",\"text\":", e.text);
  if (has_bytes || e.offset != 0) w.number(",\"offset\":", e.offset);
  if (has_bytes || e.bytes != 0) w.number(",\"bytes\":", e.bytes);
  if (e.kind == Kind::body) {
    w.number(",\"lines\":", e.lines);
    w.string_or_null(",\"sha256\":", e.sha256);
  }
  if (e.kind == Kind::tls && e.lines != 0) w.number(",\"records\":", e.lines);
  if (!e.complete) w.raw(",\"complete\":false");
  if (e.truncated) w.raw(",\"truncated\":true");
  if (e.bare_lf) w.raw(",\"bare_lf\":true");
  w.raw("}");
}

void write_events(Writer& w, const std::vector<Event>& events) {
  w.raw(",\"events\":[");
  int64_t quiet_since_us = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    if (i > 0) w.raw(",");
    write_event(w, events[i], i, i == 0 ? 0 : events[i].at_us - quiet_since_us);
    quiet_since_us = std::max({quiet_since_us, events[i].at_us, events[i].end_us});
  }
  w.raw("]");
}

const Event* reply_at(const std::vector<Event>& events, int32_t index) {
  return index >= 0 && static_cast<size_t>(index) < events.size() ? &events[static_cast<size_t>(index)] : nullptr;
}

void write_message(Writer& w, const Message& m, const std::vector<Event>& events) {
  if (m.mail_from)
    w.string("{\"mail_from\":", *m.mail_from);
  else
    w.null("{\"mail_from\":");
  if (m.size_declared)
    w.number(",\"size_declared\":", *m.size_declared);
  else
    w.null(",\"size_declared\":");
  w.raw(",\"recipients\":[");
  for (size_t i = 0; i < m.recipients.size(); ++i) {
    const Recipient& r = m.recipients[i];
    const Event* reply = reply_at(events, r.reply);
    if (i > 0) w.raw(",");
    w.string("{\"address\":", r.address);
    w.number_or_null(",\"code\":", r.code);
    if (reply != nullptr)
      w.string(",\"text\":", reply->text);
    else
      w.null(",\"text\":");
    w.index(",\"command\":", r.command);
    w.index(",\"reply\":", r.reply);
    w.raw("}");
  }
  w.number("],\"bytes\":", m.bytes);
  w.string_or_null(",\"sha256\":", m.sha256);
  if (const Event* reply = reply_at(events, m.final_reply)) {
    w.number_or_null(",\"reply\":{\"code\":", reply->code);
    w.string(",\"text\":", reply->text);
    w.raw("}");
  } else {
    w.null(",\"reply\":");
  }
  w.string_or_null(",\"queue_id\":", m.queue_id);
  w.boolean(",\"accepted\":", m.accepted);
  w.boolean(",\"ended\":", m.ended);
  w.boolean(",\"withdrawn\":", m.withdrawn);
  w.boolean(",\"bdat\":", m.bdat);
  w.index(",\"events\":{\"mail\":", m.mail);
  w.index(",\"mail_reply\":", m.mail_reply);
  w.index(",\"data\":", m.data);
  w.index(",\"data_reply\":", m.data_reply);
  w.index(",\"body\":", m.body);
  w.index(",\"final_reply\":", m.final_reply);
  w.raw("}}");
}

template <size_t N>
void write_stream(Writer& w, const char (&key)[N], const StreamTotals& stream) {
  w.raw(key);
  w.number("{\"bytes\":", stream.bytes);
  w.string_or_null(",\"xxh128\":", stream.xxh128);
  w.raw("}");
}

template <size_t N>
void write_leg(Writer& w, const char (&key)[N], const std::optional<LegTransport>& leg) {
  if (!leg) return w.null(key);
  w.raw(key);
  w.number("{\"rtt_us\":", leg->rtt_us);
  w.number(",\"retransmits\":", leg->retransmits);
  w.number(",\"mss\":", leg->mss);
  if (leg->troubled()) {
    w.number(",\"unacked\":", leg->unacked);
    w.number(",\"unsent_bytes\":", leg->unsent);
    w.number(",\"window_bytes\":", leg->window);
    w.number(",\"out_of_order\":", leg->out_of_order);
    w.number(",\"sacked\":", leg->sacked);
  }
  w.raw("}");
}

void write_samples(Writer& w, const std::vector<PathSample>& samples) {
  w.raw(",\"samples\":[");
  for (size_t i = 0; i < samples.size(); ++i) {
    if (i > 0) w.raw(",");
    w.ms("{\"at_ms\":", samples[i].at_us);
    write_leg(w, ",\"sender\":", samples[i].sender);
    write_leg(w, ",\"gateway\":", samples[i].gateway);
    w.raw("}");
  }
  w.raw("]");
}

void write_syn(Writer& w, const SynFacts& syn) {
  w.number(",\"syn\":{\"ttl\":", syn.ttl);
  w.number_or_null(",\"mss\":", syn.mss);
  w.index(",\"window_scale\":", syn.window_scale);
  w.boolean(",\"sack\":", syn.sack);
  w.boolean(",\"timestamps\":", syn.timestamps);
  w.boolean(",\"ecn\":", syn.ecn);
  w.raw("}");
}

/// Only where one was seen.
void write_ident(Writer& w, const std::optional<IdentQuery>& ident) {
  if (!ident) return;
  w.string(",\"ident\":{\"outcome\":", ident->outcome);
  w.ms(",\"at_ms\":", ident->at_us);
  w.ms(",\"took_ms\":", ident->took_us);
  w.raw("}");
}

void write_ptr(Writer& w, const std::optional<ReverseLookUp>& ptr) {
  if (!ptr) return w.null(",\"ptr\":");
  w.string_or_null(",\"ptr\":{\"name\":", ptr->name);
  w.boolean(",\"verified\":", ptr->verified);
  w.string(",\"status\":", ptr->status);
  w.ms(",\"lookup_ms\":", ptr->name_us);
  w.string_or_null(",\"forward_status\":", ptr->forward_status);
  if (!ptr->forward_status.empty()) w.ms(",\"forward_ms\":", ptr->forward_us);
  w.raw("}");
}

void write_session(Writer& w, const Transcript& t) {
  using State = GatewayConnect::State;
  const SessionFacts& s = t.session;
  w.word("{\"schema\":", kTranscriptSchema);
  w.string(",\"id\":", s.id);
  w.number(",\"icid\":", s.icid);
  w.string_or_null(",\"instance\":", s.instance);
  w.string(",\"sender\":{\"ip\":", s.sender.ip);
  w.number(",\"port\":", s.sender.port);
  if (s.via) {
    w.string(",\"via\":{\"ip\":", s.via->ip);
    w.number(",\"port\":", s.via->port);
    w.raw("}");
  }
  write_ptr(w, t.ptr);
  write_ident(w, t.ident);
  w.string("},\"gateway\":{\"ip\":", s.gateway.ip);
  w.number(",\"port\":", s.gateway.port);
  const State state = t.connect.state;
  if (state == State::pending) {
    w.raw(",\"connect\":\"pending\",\"connect_ms\":null,\"connect_at_ms\":null");
  } else {
    w.word(",\"connect\":", state == State::connected ? "connected" : "failed");
    if (s.source.empty())
      w.ms(",\"connect_ms\":", t.connect.took_us);
    else
      w.null(",\"connect_ms\":");  // a log does not tell
    w.ms(",\"connect_at_ms\":", t.connect.at_us);
  }
  w.string_or_null(",\"error\":", t.connect.error);
  if (!t.connect.icmp.from.empty()) {
    w.string(",\"icmp\":{\"from\":", t.connect.icmp.from);
    w.string(",\"says\":", t.connect.icmp.says);
    w.raw("}");
  }
  w.string_or_null(",\"sees\":", s.sees);
  if (!s.header.empty()) w.string(",\"header\":", s.header);
  if (s.sees_port != 0) w.number(",\"sees_port\":", s.sees_port);
  w.word("},\"started\":", iso_utc(s.started_us));
  w.word(",\"ended\":", iso_utc(sum(s.started_us, t.duration_us)));
  w.ms(",\"duration_ms\":", t.duration_us);
}

void write_tls(Writer& w, const std::optional<TlsFacts>& tls) {
  if (!tls) return w.null(",\"tls\":");
  w.string(",\"tls\":{\"mode\":", tls->mode);
  w.string_or_null(",\"client_version\":", tls->client_version);
  w.string_or_null(",\"server_version\":", tls->server_version);
  w.string_or_null(",\"sni\":", tls->sni);
  w.string_or_null(",\"alert\":", tls->alert);
  w.boolean(",\"application_data\":", tls->application_data);
  w.raw("}");
}

void write_capture(Writer& w, const Transcript& t) {
  w.boolean(",\"capture\":{\"complete\":", t.complete);
  w.boolean(",\"interrupted\":", t.interrupted);
  w.string(",\"body\":", t.session.body_policy);
  w.number_or_null(",\"body_limit\":", t.session.body_limit);
  w.number(",\"truncated_bytes\":", t.capture.truncated_bytes);
  w.number(",\"masked_bytes\":", t.capture.masked_bytes);
  w.number(",\"gaps\":", t.capture.gaps);
  w.string_or_null(",\"filter\":", t.session.filter);
  w.string_or_null(",\"loss\":", t.capture_loss);
  if (!t.session.source.empty()) w.string(",\"source\":", t.session.source);
  if (t.session.resolution_us > 0) w.ms(",\"resolution_ms\":", t.session.resolution_us);
  if (t.session.begins_late) w.raw(",\"begins_late\":true");
  if (t.recording.empty()) return w.raw(",\"recording\":null}");
  w.string(",\"recording\":{\"file\":", t.recording);
  w.number(",\"from\":", t.recording_bytes.offset);
  w.number(",\"to\":", t.recording_bytes.offset + t.recording_bytes.length);
  w.raw("}}");
}

}  // namespace

void append_json(std::string& out, const Transcript& t) {
  Writer w(out);
  write_session(w, t);
  w.word(",\"verdict\":", name(t.verdict));
  w.string(",\"summary\":", t.summary);
  w.raw(",\"breakdown\":");
  if (t.breakdown)
    write_finding(w, *t.breakdown);
  else
    w.raw("null");
  w.raw(",\"notes\":[");
  for (size_t i = 0; i < t.notes.size(); ++i) {
    if (i > 0) w.raw(",");
    write_finding(w, t.notes[i]);
  }
  w.raw("]");
  write_events(w, t.events);
  w.raw(",\"messages\":[");
  for (size_t i = 0; i < t.messages.size(); ++i) {
    if (i > 0) w.raw(",");
    write_message(w, t.messages[i], t.events);
  }
  w.raw("]");
  write_stream(w, ",\"streams\":{\"sender\":", t.sender_stream);
  write_stream(w, ",\"gateway\":", t.gateway_stream);
  write_leg(w, "},\"transport\":{\"sender\":", t.sender_leg);
  write_leg(w, ",\"gateway\":", t.gateway_leg);
  if (t.session.syn) write_syn(w, *t.session.syn);
  if (!t.samples.empty()) write_samples(w, t.samples);
  w.raw("}");
  write_tls(w, t.tls);
  write_capture(w, t);
  w.raw("}");
}

}  // namespace smtpscope
