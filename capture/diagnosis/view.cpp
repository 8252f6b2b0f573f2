#include "capture/diagnosis/view.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "capture/smtp/syntax.h"

namespace smtpscope {

namespace {

bool expects_reply(const Event& event, const std::vector<Event>& events, size_t index) {
  if (!event.complete) return false;
  if (event.kind == Event::Kind::command) return event.verb != Verb::none;
  if (event.kind != Event::Kind::body) return false;
  // A chunk belongs to its BDAT command, which is what is answered.
  for (size_t i = index; i-- > 0;)
    if (events[i].kind == Event::Kind::command)
      if (events[i].verb == Verb::data || events[i].verb == Verb::bdat) return events[i].verb == Verb::data;
  return true;
}

}  // namespace

View::View(const Case& session) : c(session), events(session.events), messages(session.messages) {
  const auto count = static_cast<int32_t>(events.size());
  replies.assign(events.size(), -1);
  for (int32_t i = 0; i < count; ++i) {
    const Event& e = events[static_cast<size_t>(i)];
    ended_us = std::max(ended_us, e.end_us);
    if (e.from == From::sender && e.kind != Event::Kind::connect && e.kind != Event::Kind::close && first_sent < 0)
      first_sent = i;
    switch (e.kind) {
      case Event::Kind::reply: {
        if (!e.complete && first_close >= 0) {  // cut off: it answers nothing
          cut_reply = i;
          break;
        }
        if (e.answers >= 0 && e.answers < count && replies[static_cast<size_t>(e.answers)] < 0)
          replies[static_cast<size_t>(e.answers)] = i;
        if (e.phase == Phase::banner && e.answers < 0 && banner < 0) banner = i;
        if (e.code >= 400) refusals.push_back(i);
        const Event* asked = at(e.answers);
        if (asked != nullptr && e.code >= 200 && e.code < 300 &&
            (asked->verb == Verb::ehlo || asked->verb == Verb::helo || asked->verb == Verb::lhlo))
          helo_ok = i, helos_.push_back(i);
        break;
      }
      case Event::Kind::command:
        if (e.verb == Verb::quit && e.complete) quit = i;
        if (!e.complete && cut_command < 0) cut_command = i;
        break;
      case Event::Kind::body:
        if (!e.complete) stalled_body = i;
        break;
      case Event::Kind::tls:
        if (c.tls && c.tls->mode == "implicit" && e.from == From::gateway) answered_in_tls = true;
        break;
      case Event::Kind::close:
        if (first_close < 0) first_close = i;
        break;
      default:
        break;
    }
  }
  for (int32_t i = 0; i < count && unanswered < 0; ++i)
    if (replies[static_cast<size_t>(i)] < 0 &&
        expects_reply(events[static_cast<size_t>(i)], events, static_cast<size_t>(i)))
      unanswered = i;
  find_end_of_patience();
  ended_us = std::max(ended_us, c.end.at_us);
  const auto out_of_order = [&](int32_t reply) { return at(reply) != nullptr && at(reply)->code == 503; };
  failed_.assign(messages.size(), false);
  for (size_t i = messages.size(); i-- > 0;) {
    const Message& m = messages[i];
    const bool begun_anew = m.withdrawn && i + 1 < messages.size() &&
                            (m.mail < 0 || out_of_order(m.mail_reply) || out_of_order(messages[i + 1].mail_reply));
    failed_[i] = begun_anew ? failed_[i + 1] : failed_alone(m);
  }
}

/// Gateways often answer a sender that has left: such a reply answers nothing any more. (One that closes its half at
/// once behind its commands has not left: it is known by the time for which it waited.)
void View::find_end_of_patience() {
  for (const int32_t leave : {quit, first_close})
    if (at(leave) != nullptr && at(leave)->from == From::sender && gave_up < 0 && (leave == quit || !reads_on()))
      find_wait_until(leave);
}

/// Sets gave_up if the sender had waited for a reply when it said QUIT or closed.
void View::find_wait_until(int32_t leave) {
  const int64_t left_us = at(leave)->at_us;
  // Who is still sending, as in a long group of commands and chunks, is not waiting yet; and whose first reply has just
  // begun to come does not leave for want of the next.
  int64_t last_heard_us = 0;
  for (int32_t i = 0; i < static_cast<int32_t>(events.size()); ++i) {
    const Event& e = *at(i);
    if (is_sent(e) ? i < leave : e.at_us < left_us)
      last_heard_us = std::max(last_heard_us, is_sent(e) ? e.end_us : e.at_us);
  }
  const auto waited = [&](int64_t since, const Event* reply) {
    return at_least(left_us - std::max(since, last_heard_us), kImpatient) &&
           (reply == nullptr || (reply->at_us > left_us && !reads_on()));
  };
  if (!c.session.begins_late && c.connect.state == GatewayConnect::State::connected &&
      (first_sent < 0 || first_sent == leave) && cut_reply < 0 && waited(c.connect.at_us, at(banner))) {
    gave_up = leave;
    banner = -1;
    return;
  }
  for (int32_t i = 0; i < leave; ++i) {
    const Event& e = *at(i);
    const bool owed = expects_reply(e, events, static_cast<size_t>(i)) && e.verb != Verb::bdat && i != quit;
    if (!owed || !waited(e.end_us, at(replies[static_cast<size_t>(i)]))) continue;
    gave_up = leave;
    if (e.kind == Event::Kind::command && (unanswered < 0 || i < unanswered)) unanswered = i;
    return;
  }
}

bool View::reads_on() const {
  // A capture shows whether the sender's host still took the reply: it resets what comes for a program that has left.
  return c.session.instance.empty() && std::none_of(events.begin(), events.end(), [](const Event& e) {
           return e.kind == Event::Kind::close && e.from == From::sender && e.how == CloseHow::rst;
         });
}

bool View::accepted(int32_t reply) const {
  const Event* e = at(reply);
  return e != nullptr && e->code >= 200 && e->code < 300;
}

bool View::refused(int32_t reply) const {
  const Event* e = at(reply);
  return e != nullptr && e->code >= 400;
}

bool View::left_unread(const Message& m) const {
  const Event *body = at(m.body), *leave = at(gave_up), *reply = at(m.final_reply);
  if (m.accepted && body != nullptr && leave != nullptr && reply != nullptr && body->end_us < leave->at_us &&
      leave->at_us < reply->at_us)
    return true;
  if (!m.accepted || first_close < 0 || m.final_reply < first_close || !closed_by(From::sender) || reads_on())
    return false;
  return quit < 0 || quit > first_close;
}

bool View::delivered(const Message& m) const {
  if (!m.accepted || left_unread(m)) return false;
  if (m.recipients.empty()) return true;  // the beginning of the session is missing
  return std::any_of(m.recipients.begin(), m.recipients.end(), [](const Recipient& r) { return r.code < 400; });
}

bool View::failed_alone(const Message& m) const {
  if (delivered(m)) return false;
  if (!m.withdrawn || (gave_up >= 0 && unanswered >= 0 && message_at(unanswered) == &m)) return true;
  if (!accepted(m.mail_reply)) return true;
  return std::any_of(m.recipients.begin(), m.recipients.end(),
                     [](const Recipient& r) { return r.code < 200 || r.code >= 300; });
}

const Message* View::message_at(int32_t event) const {
  const Message* found = nullptr;
  for (const Message& m : messages) {
    const int32_t rcpt = m.recipients.empty() ? -1 : m.recipients.front().command;
    int32_t begin = static_cast<int32_t>(events.size());
    for (const int32_t part : {m.mail, rcpt, m.data, m.body})
      if (part >= 0) begin = std::min(begin, part);
    if (begin > event) break;
    found = &m;
  }
  return found;
}

bool View::mail_accepted_after(int32_t event) const {
  return std::any_of(messages.begin(), messages.end(),
                     [&](const Message& m) { return m.mail > event && accepted(m.mail_reply); });
}

bool View::rcpt_accepted_after(int32_t event) const {
  for (const Message& m : messages)
    for (const Recipient& r : m.recipients)
      if (r.command > event && r.code >= 200 && r.code < 300) return true;
  return false;
}

const Event* View::hello_for(int32_t event) const {
  if (helos_.empty()) return nullptr;
  const auto behind = std::upper_bound(helos_.begin(), helos_.end(), event);
  return at(behind == helos_.begin() ? helos_.front() : *(behind - 1));
}

bool View::offers(std::string_view keyword, int32_t event) const {
  const Event* hello = hello_for(event);
  if (hello == nullptr) return false;
  std::string_view text = hello->text;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    line.remove_prefix(std::min<size_t>(4, line.size()));
    if (starts_with_nocase(line, keyword) &&
        (line.size() == keyword.size() || line[keyword.size()] == ' ' || line[keyword.size()] == '='))
      return true;
  }
  return false;
}

int64_t View::answered_at(int32_t event) const {
  const Event* reply = at(replies[static_cast<size_t>(event)]);
  return reply != nullptr ? reply->at_us : INT64_MAX;
}

int32_t View::waiting_at(int64_t at_us) const {
  for (size_t i = 0; i < events.size(); ++i)
    if (events[i].end_us <= at_us && expects_reply(events[i], events, i) &&
        answered_at(static_cast<int32_t>(i)) > at_us)
      return static_cast<int32_t>(i);
  return -1;
}

const Event* View::last_reply() const {
  const Event* last = nullptr;
  for (int32_t i = 0; i < static_cast<int32_t>(events.size()) && (first_close < 0 || i < first_close); ++i)
    if (events[static_cast<size_t>(i)].kind == Event::Kind::reply) last = at(i);
  return last;
}

int64_t View::silence_us() const {
  if (close() == nullptr) return ended_us - owed_since();
  if (const Event* body = at(stalled_body)) return close()->at_us - body->end_us;
  return close()->at_us - owed_since();
}

const Event* View::waiting() const {
  if (cut_reply >= 0) return at(cut_reply);
  return at(unanswered);
}

int64_t View::owed_since() const {
  if (banner_owed()) return c.connect.state == GatewayConnect::State::connected ? c.connect.at_us : 0;
  if (const Event* e = at(unanswered)) return e->end_us;
  int64_t since = 0;
  for (const Event& e : events)
    if (e.kind == Event::Kind::reply && (close() == nullptr || e.end_us <= close()->at_us))
      since = std::max(since, e.end_us);
  return since;
}

uint64_t allowed_bytes(const Event& command) {
  switch (command.verb) {
    case Verb::auth:
    case Verb::auth_response:
      return 12'288;  // RFC 4954 4
    case Verb::mail:
      return 512 + 26 + 17 + 10 + 500 + 107;  // RFC 1870, 6152, 6531, 4954, 3461
    case Verb::rcpt:
      return 512 + 500;  // RFC 3461
    default:
      return 512;
  }
}

uint64_t View::seen(From from) const {
  uint64_t end = 0;
  for (const Event& e : events)
    if (e.from == from) end = std::max(end, e.offset + e.bytes);
  return end;
}

From owes(const std::vector<Event>& events, const std::vector<Message>&, int64_t at_us) {
  bool banner = false;
  size_t asked = 0, answered = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& e = events[i];
    if (e.at_us > at_us) continue;
    if (e.kind == Event::Kind::reply) {
      if (e.phase == Phase::banner) banner = banner || e.complete;
      if (e.answers >= 0) ++answered;
      if (!e.complete && e.end_us <= at_us) return From::gateway;
    }
    if (e.end_us <= at_us && expects_reply(e, events, i)) ++asked;
  }
  return !banner || asked > answered ? From::gateway : From::sender;
}

bool View::inside_tls() const {
  if (!c.tls) return false;
  const Event* hello = at(helo_ok);
  const Event* asked = hello == nullptr ? nullptr : at(hello->answers);
  if (asked == nullptr) return true;
  for (int32_t i = hello->answers; i >= 0; --i)
    if (at(i)->verb == Verb::starttls) return false;
  return true;
}

bool View::took_leave() const {
  for (size_t i = events.size(); i-- > 0;) {
    const Event& e = events[i];
    if (e.kind == Event::Kind::reply) return e.code == 421 || (e.code == 221 && quit >= 0);
    if (e.kind != Event::Kind::note && e.kind != Event::Kind::close) return false;
  }
  return false;
}

std::string View::seconds(int64_t us) const {
  const int64_t grain = c.session.resolution_us;
  if (grain >= kSecond) return fmt::format("{} s (+-{} s)", us / kSecond, grain / kSecond);
  return fmt::format("{:.1f} s", static_cast<double>(us) / 1e6);
}

std::string looks_like_limit(int64_t us, int64_t resolution_us) {
  static constexpr std::array<int64_t, 12> kLimits{5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600};
  for (const int64_t limit : kLimits) {
    if (limit * kSecond < 30 * resolution_us) continue;
    const int64_t off = us - limit * kSecond;
    if (off > -kSecond / 4 && off < kSecond) return fmt::format("; that looks like a limit of {} s", limit);
  }
  return "";
}

Match match_event(const View& view, int32_t event) {
  Match m;
  m.event = event;
  const Event* e = view.at(event);
  if (e == nullptr) return m;
  m.at_us = e->at_us;
  m.stream = e->from;
  m.offset = e->offset;
  m.length = e->bytes;
  switch (e->kind) {
    case Event::Kind::reply:
    case Event::Kind::command:
    case Event::Kind::tls:
    case Event::Kind::note:
      m.got = e->text;
      break;
    case Event::Kind::close:
      m.got = fmt::format("{} from the {}",
                          e->how == CloseHow::fin   ? "FIN"
                          : e->how == CloseHow::rst ? "RST"
                                                    : "time-out",
                          name(e->from));
      break;
    case Event::Kind::body:
      m.got = fmt::format("{} bytes of the message", e->bytes);
      break;
    case Event::Kind::connect:
      break;
  }
  return m;
}

Match match_missing(const View& view, int32_t event, From side) {
  Match m = match_event(view, event);
  m.stream = side;
  m.offset = view.seen(side);
  m.length = 0;
  return m;
}

}  // namespace smtpscope
