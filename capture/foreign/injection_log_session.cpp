#include "capture/foreign/injection_log_session.h"

#include <algorithm>
#include <utility>

#include "capture/smtp/syntax.h"

namespace smtpscope {
namespace {

constexpr size_t kMaxHeldLines = 64, kMaxHeldBytes = 64 * 1024;
constexpr size_t kWholeLine = 4096;  // our own writer cuts longer ones in pieces

std::string_view first_line(std::string_view bytes) { return bytes.substr(0, bytes.find_first_of("\r\n")); }

uint16_t code_of(const InjectionLogSession::Line& line) { return parse_reply_line(first_line(line.bytes)).code; }

bool is_command(const InjectionLogSession::Line& line) {
  const Verb verb = parse_verb(first_line(line.bytes));
  return verb != Verb::none && verb != Verb::unknown && verb != Verb::http;
}

/// Does this reply belong to AUTH, going by its code? (RFC 4954 6; 500 to 504 may be anything.)
bool answers_auth(uint16_t code) {
  return code == 334 || code == 235 || code == 432 || code == 454 || (code >= 500 && code <= 504) ||
         (code >= 530 && code <= 538);
}

}  // namespace

InjectionLogSession::InjectionLogSession(SessionFacts facts) : analyzer_(std::move(facts)) {
  analyzer_.connected({GatewayConnect::State::connected, 0, 0, ""});
  begun_ = !analyzer_.facts().begins_late;
}

void InjectionLogSession::line(Line line) {
  last_us_ = line.at_us = std::max(line.at_us, last_us_);
  if (!begun_) {
    // A line that is no command may be text of a message, or a secret of AUTH.
    const bool tells = line.from == From::gateway || (held_.empty() && is_command(line));
    hold(std::move(line));
    if (tells || held_.size() >= kMaxHeldLines || held_bytes_ >= kMaxHeldBytes) begin_late();
    return;
  }
  if (!held_.empty()) {  // a message without an end was refused: was that all of it?
    if (line.from == From::gateway && held_.size() < kMaxHeldLines && held_bytes_ < kMaxHeldBytes)
      return hold(std::move(line));
    if (line.from == From::sender && is_command(line))
      end_message(held_.front().at_us, analyzer_.conversation().message_missing().value_or(0));
    take_held();
  }
  take(std::move(line));
}

void InjectionLogSession::hold(Line line) {
  held_bytes_ += line.bytes.size() + sizeof line;
  held_.push_back(std::move(line));
}

void InjectionLogSession::take_held() {
  for (const Line& held : std::exchange(held_, {})) feed(held);
  held_bytes_ = 0;
}

void InjectionLogSession::begin_late() {
  begun_ = true;
  bool in_message = false;
  if (held_.front().from == From::sender && !is_command(held_.front())) {
    const auto reply = std::find_if(held_.begin(), held_.end(), [](const Line& l) { return l.from == From::gateway; });
    in_message = reply == held_.end() ? held_.size() > 1 : !answers_auth(code_of(*reply)) || reply - held_.begin() > 2;
  }
  analyzer_.conversation().begin_late(in_message);
  if (in_message) gap(From::sender, 0, 1, "not in the log");
  held_bytes_ = 0;
  for (Line& held : std::exchange(held_, {})) line(std::move(held));
}

void InjectionLogSession::take(Line line) {
  if (line.from == From::gateway) {
    const uint16_t code = code_of(line);
    const std::optional<uint64_t> missing = analyzer_.conversation().message_missing();
    if (missing && code >= 200 && code < 300) end_message(line.at_us, *missing);
    if (missing && code >= 400 && code != 421) return hold(std::move(line));
  }
  feed(line);
}

void InjectionLogSession::feed(const Line& line) {
  const bool without_end = !line.cut && !line.bytes.ends_with('\n') && line.bytes.size() < kWholeLine;
  if (std::exchange(first_bare_, false) && without_end && (line.from == From::sender || code_of(line) > 0)) {
    bare_ = true;
    bytes(From::gateway, line.at_us, "\r\n");
  }
  first_bare_ = without_end && sent_[0] + sent_[1] == 0 && line.from == From::gateway && code_of(line) > 0;
  bytes(line.from, line.at_us, line.bytes);
  if (line.cut) {
    const std::optional<uint64_t> missing =
        line.from == From::sender ? analyzer_.conversation().message_missing() : std::nullopt;
    // In a message nothing is added; elsewhere what is there of a line is worth more as a line of its own.
    if (!missing && !line.bytes.ends_with('\n')) bytes(line.from, line.at_us, "\r\n");
    gap(line.from, line.at_us, 1, "cut in the log");
    if (!missing || *missing == 0) bytes(line.from, line.at_us, "\r\n");
    note_once(line.at_us, cut_said_, "the log has this line only in part");
  } else if (bare_ && !line.bytes.ends_with('\n')) {
    bytes(line.from, line.at_us, "\r\n");
  }
  if (line.from == From::gateway) over_ = over_ || took_leave();
}

void InjectionLogSession::missing(const Hole& hole) {
  last_us_ = std::max(last_us_, hole.at_us);
  if (!begun_) {
    if (held_.empty()) hold({hole.from, last_us_, "", false});
    begin_late();
  }
  if (!held_.empty()) take_held();
  gap(hole.from, last_us_, hole.length, hole.reason);
}

void InjectionLogSession::bytes(From from, int64_t at_us, std::string_view bytes) {
  uint64_t& offset = sent_[from == From::gateway];
  analyzer_.chunk({from, at_us, offset, bytes});
  offset += bytes.size();
}

void InjectionLogSession::gap(From from, int64_t at_us, uint64_t length, std::string_view reason) {
  uint64_t& offset = sent_[from == From::gateway];
  length = std::min(length, UINT64_MAX / 2 - std::min(offset, UINT64_MAX / 2));  // a senseless log
  analyzer_.hole({from, at_us, offset, length, std::string(reason)});
  offset += length;
}

void InjectionLogSession::end_message(int64_t at_us, uint64_t missing) {
  gap(From::sender, at_us, std::max<uint64_t>(missing, 1), "not in the log");
  if (missing == 0) bytes(From::sender, at_us, "\r\n.\r\n");
  note_once(at_us, end_said_, "the log does not have all of the message; the gateway's reply shows that it ended");
}

void InjectionLogSession::note_once(int64_t at_us, bool& said, const char* text) {
  if (!std::exchange(said, true)) analyzer_.conversation().note(at_us, Phase::idle, text);
}

bool InjectionLogSession::took_leave() const {
  const std::vector<Event>& events = analyzer_.conversation().events();
  if (events.empty() || events.back().kind != Event::Kind::reply) return false;
  const Event& reply = events.back();
  if (reply.code == 421) return true;
  return reply.code == 221 && reply.answers >= 0 && events[static_cast<size_t>(reply.answers)].verb == Verb::quit;
}

Transcript InjectionLogSession::finish(std::string_view why) {
  if (!begun_) begin_late();
  take_held();
  if (!why.empty()) analyzer_.conversation().note(last_us_, Phase::idle, std::string(why));
  SessionEnd end;
  end.at_us = last_us_;
  end.sender_stream.bytes = sent_[0];
  end.gateway_stream.bytes = sent_[1];
  return analyzer_.finish(end);
}

}  // namespace smtpscope
