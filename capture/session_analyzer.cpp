#include "capture/session_analyzer.h"

#include <utility>

#include "capture/diagnosis/engine.h"
#include "capture/error_words.h"

namespace smtpscope {
namespace {

Conversation::Policy policy_of(const SessionFacts& facts) {
  Conversation::Policy policy;
  policy.limit = facts.body_limit;
  if (facts.body_policy == "headers") policy.body = Conversation::Body::headers;
  if (facts.body_policy == "none") policy.body = Conversation::Body::none;
  return policy;
}

}  // namespace

SessionAnalyzer::SessionAnalyzer(SessionFacts facts) : facts_(std::move(facts)), conversation_(policy_of(facts_)) {
  conversation_.open(0);
  if (facts_.begins_late) conversation_.begin_late(false);
}

void SessionAnalyzer::connected(const GatewayConnect& connect) {
  connect_ = connect;
  if (connect.state == GatewayConnect::State::connected) conversation_.gateway_connected();
  if (connect.state == GatewayConnect::State::failed)
    conversation_.note(connect.at_us, Phase::connect,
                       "connection to the gateway failed: " + error_words(connect.error));
}

void SessionAnalyzer::hole(const Hole& hole) {
  const bool of_body = hole.reason == "body";
  if (of_body)
    counts_.truncated_bytes += hole.length;
  else
    ++counts_.gaps;
  conversation_.hole(hole.from, hole.at_us, hole.length, of_body);
}

void SessionAnalyzer::closed(const Closed& closed) { conversation_.close(closed.from, closed.how, closed.at_us); }

Transcript SessionAnalyzer::finish(const SessionEnd& end) {
  conversation_.finish();
  if (const uint64_t dropped = conversation_.dropped_events(); dropped > 0)
    conversation_.note(end.at_us, Phase::idle,
                       std::to_string(dropped) + " further events were not kept; the recording has them");
  for (From from : {From::sender, From::gateway})
    for (const ByteRange& secret : conversation_.take_secrets(from)) counts_.masked_bytes += secret.length;

  const Case session{facts_, connect_, end, conversation_.events(), conversation_.messages(), conversation_.tls(),
                     counts_};
  Diagnosis diagnosis = diagnose(session);

  Transcript t;
  t.verdict = diagnosis.verdict;
  t.summary = std::move(diagnosis.summary);
  t.breakdown = std::move(diagnosis.breakdown);
  t.notes = std::move(diagnosis.notes);
  t.tls = conversation_.tls();
  t.events = conversation_.release_events();
  t.messages = conversation_.release_messages();
  for (Event& event : t.events) make_lossless(event.text);
  for (Message& message : t.messages) {
    if (message.mail_from) make_lossless(*message.mail_from);
    make_lossless(message.queue_id);
    for (Recipient& recipient : message.recipients) make_lossless(recipient.address);
  }
  const auto finding = [](Finding& f) {
    for (std::string* text : {&f.expected, &f.got, &f.why, &f.advice}) make_lossless(*text);
  };
  make_lossless(t.summary);
  if (t.breakdown) finding(*t.breakdown);
  for (Finding& note : t.notes) finding(note);
  if (t.tls) make_lossless(t.tls->sni);

  t.connect = connect_;
  t.duration_us = end.at_us;
  t.sender_stream = end.sender_stream;
  t.gateway_stream = end.gateway_stream;
  t.sender_leg = end.sender_leg;
  t.gateway_leg = end.gateway_leg;
  t.samples = end.samples;
  t.ptr = end.ptr;
  if (t.ptr) make_lossless(t.ptr->name);
  t.ident = end.ident;
  t.capture = counts_;
  t.capture_loss = end.capture_loss;
  t.interrupted = end.interrupted;
  t.complete = !end.interrupted && end.capture_loss.empty() && counts_.gaps == 0 && !facts_.begins_late;
  t.session = std::move(facts_);
  return t;
}

}  // namespace smtpscope
