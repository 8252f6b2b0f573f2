#include "capture/summary/session_digest.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "capture/smtp/syntax.h"
#include "capture/store/json_cursor.h"
#include "capture/store/transcript_line.h"
#include "capture/transcript/json_reader.h"

namespace smtpscope {
namespace {

template <class T>
T number(std::string_view value, T missing = 0) {
  T n = missing;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
  return error == std::errc() ? n : missing;
}

int64_t ms(std::string_view value) {
  constexpr double kMost = 9e12;
  const double n = number<double>(value);
  return std::abs(n) <= kMost ? std::llround(n * 1000) : 0;
}

/// What is needed of an event. The views are of the line.
struct Moment {
  std::string_view kind, from, verb, text, enhanced;
  int64_t at_us = 0, end_us = 0;
  int32_t answers = -1;
  uint16_t code = 0;
  bool banner = false;

  bool says_something() const { return kind != "\"connect\"" && kind != "\"close\"" && kind != "\"note\""; }
};

Moment moment_of(std::string_view event) {
  Moment m;
  m.end_us = -1;
  json_members(event, [&](std::string_view key, std::string_view value) {
    if (key == "kind") m.kind = value;
    if (key == "from") m.from = value;
    if (key == "verb") m.verb = value;
    if (key == "text") m.text = value;
    if (key == "enhanced") m.enhanced = value;
    if (key == "phase") m.banner = value == "\"banner\"";
    if (key == "at_ms") m.at_us = ms(value);
    if (key == "end_ms") m.end_us = ms(value);
    if (key == "answers") m.answers = number<int32_t>(value, -1);
    if (key == "code") m.code = number<uint16_t>(value);
  });
  m.end_us = std::max(m.end_us, m.at_us);
  return m;
}

class Reader {
 public:
  explicit Reader(SessionDigest& digest) : d_(digest) {}

  void events(std::string_view array) {
    json_elements(array, [&](std::string_view event) { events_.push_back(moment_of(event)); });
    for (size_t i = 0; i < events_.size(); ++i) {
      const Moment& e = events_[i];
      if (e.kind == "\"reply\"" && e.banner && d_.banner_us < 0) d_.banner_us = e.end_us;
      if (e.verb == "\"EHLO\"" || e.verb == "\"HELO\"") helo_ = e.text;
      if (e.answers >= 0 && e.code == 220 && static_cast<size_t>(e.answers) < i &&
          events_[static_cast<size_t>(e.answers)].verb == "\"STARTTLS\"")
        d_.starttls = true;
      if (e.kind == "\"close\"" && e.from == "\"sender\"" && sender_left_us_ < 0) sender_left_us_ = e.at_us;
    }
    if (d_.helo.empty() && !helo_.empty()) {
      const std::string line = json_text_of(helo_);
      const size_t at = std::min(line.find(' '), line.size());
      const size_t begin = std::min(line.find_first_not_of(' ', at), line.size());
      d_.helo = line.substr(begin, line.find(' ', begin) - begin);
    }
    if (d_.verdict == Verdict::breakdown) end_of_patience();
  }

  void messages(std::string_view array) {
    json_elements(array, [&](std::string_view value) {
      if (d_.messages.size() < kMostMessages) message(value);
    });
  }

 private:
  const Moment* at(int32_t index) const {
    return index >= 0 && static_cast<size_t>(index) < events_.size() ? &events_[static_cast<size_t>(index)] : nullptr;
  }

  /// The silence before the first close; a 421 that only announces the close belongs to it.
  void end_of_patience() {
    const auto close =
        std::find_if(events_.begin(), events_.end(), [](const Moment& e) { return e.kind == "\"close\""; });
    if (close == events_.end() || close->from == "\"proxy\"") return;
    size_t last = static_cast<size_t>(close - events_.begin());
    int64_t left_us = close->at_us;
    std::string_view who = close->from;
    const auto earlier = [&](size_t before) {
      while (before > 0 && !events_[before - 1].says_something()) --before;
      return before;  // one behind the event; 0: none
    };
    size_t spoke = earlier(last);
    if (spoke > 0 && events_[spoke - 1].code == 421 && events_[spoke - 1].answers < 0) {
      left_us = events_[spoke - 1].at_us;
      who = events_[spoke - 1].from;
      spoke = earlier(spoke - 1);
    }
    int64_t quiet_since_us = 0;
    for (size_t i = 0; i < spoke; ++i) quiet_since_us = std::max(quiet_since_us, events_[i].end_us);
    if (left_us - quiet_since_us < kLeastSilence) return;
    d_.left = who == "\"gateway\"" ? From::gateway : From::sender;
    d_.silence_us = left_us - quiet_since_us;
    d_.waited = spoke == 0 ? d_.left == From::sender : events_[spoke - 1].from == who;
  }

  void message(std::string_view object) {
    DigestMessage m;
    int32_t mail = -1, mail_reply = -1, data = -1, data_reply = -1, final_reply = -1;
    bool accepted = false, ended = false, withdrawn = false;
    json_members(object, [&](std::string_view key, std::string_view value) {
      if (key == "mail_from" && value.starts_with('"')) m.mail_from = json_text_of(value);
      if (key == "size_declared") m.declared = number<uint64_t>(value);
      if (key == "bytes") m.bytes = number<uint64_t>(value);
      if (key == "sha256") m.sha256 = json_text_of(value);
      if (key == "queue_id") m.queue_id = json_text_of(value);
      if (key == "accepted") accepted = value == "true";
      if (key == "ended") ended = value == "true";
      if (key == "withdrawn") withdrawn = value == "true";
      if (key == "recipients") json_elements(value, [&](std::string_view r) { recipient(m, r); });
      if (key != "events") return;
      json_members(value, [&](std::string_view name, std::string_view event) {
        const auto index = number<int32_t>(event, -1);
        if (name == "mail") mail = index;
        if (name == "mail_reply") mail_reply = index;
        if (name == "data") data = index;
        if (name == "data_reply") data_reply = index;
        if (name == "final_reply") final_reply = index;
      });
    });
    const Moment* first = at(mail) != nullptr ? at(mail) : at(data);
    const Moment* last = at(final_reply);
    m.at_us = d_.started_us + (first != nullptr ? first->at_us : 0);
    m.end_us = last != nullptr ? d_.started_us + last->at_us : d_.ended_us;
    m.reply_lost =
        ended && sender_left_us_ >= 0 && (last == nullptr || last->at_us > sender_left_us_) && (accepted || !last);

    const auto refusal = [&](int32_t index) { return at(index) != nullptr && at(index)->code >= 400 ? index : -1; };
    const int32_t whole = refusal(mail_reply), late = std::max(refusal(data_reply), refusal(final_reply));
    bool all_refused = !m.recipients.empty();
    for (DigestRecipient& r : m.recipients) {
      all_refused = all_refused && r.code >= 400;
      if (whole >= 0)
        decide(r, *at(whole));
      else if (r.code >= 400)
        r.outcome = r.code < 500 ? Outcome::put_off : Outcome::refused;
      else if (late >= 0)
        decide(r, *at(late));
      else if (accepted)
        r.outcome = Outcome::delivered;
      else
        r.outcome = withdrawn ? Outcome::withdrawn : Outcome::unfinished;
    }
    const auto by_code = [](uint16_t code) { return code < 500 ? Outcome::put_off : Outcome::refused; };
    if (accepted) {
      m.outcome = Outcome::delivered;
      m.code = last != nullptr ? last->code : 0;
    } else if (whole >= 0 || all_refused || late >= 0) {
      m.code = whole >= 0 ? at(whole)->code : all_refused ? m.recipients.front().code : at(late)->code;
      m.outcome = by_code(m.code);
      if (whole < 0 && all_refused)
        for (const DigestRecipient& r : m.recipients)
          if (r.outcome == Outcome::put_off) m.outcome = Outcome::put_off;
    } else {
      m.outcome = withdrawn ? Outcome::withdrawn : Outcome::unfinished;
    }
    const Moment* go = at(data_reply);
    m.size_matters = whole >= 0 ? m.declared > 0 : !all_refused && (m.bytes > 0 || (go != nullptr && go->code < 400));
    d_.messages.push_back(std::move(m));
  }

  static void recipient(DigestMessage& m, std::string_view object) {
    if (m.recipients.size() >= kMostRecipients) return;
    DigestRecipient r;
    json_members(object, [&](std::string_view key, std::string_view value) {
      if (key == "address") r.address = json_text_of(value);
      if (key == "code") r.code = number<uint16_t>(value);
      if (key == "text" && r.code >= 400) r.enhanced = enhanced_code(json_text_of(value));
    });
    m.recipients.push_back(std::move(r));
  }

  static void decide(DigestRecipient& r, const Moment& reply) {
    r.code = reply.code;
    r.enhanced = json_text_of(reply.enhanced);
    r.outcome = reply.code < 500 ? Outcome::put_off : Outcome::refused;
  }

  SessionDigest& d_;
  std::vector<Moment> events_;
  std::string_view helo_;
  int64_t sender_left_us_ = -1;
};

}  // namespace

std::optional<SessionDigest> digest_line(std::string_view line) {
  SessionDigest d;
  std::string_view started, ended, verdict, events, messages, breakdown, sender, tls;
  const bool whole = json_members(line, [&](std::string_view key, std::string_view value) {
    if (key == "id") d.id = json_text_of(value);
    if (key == "started") started = value;
    if (key == "ended") ended = value;
    if (key == "verdict") verdict = value;
    if (key == "sender") sender = value;
    if (key == "breakdown") breakdown = value;
    if (key == "events") events = value;
    if (key == "messages") messages = value;
    if (key == "tls") tls = value;
  });
  const auto began = parse_iso_utc(json_text_of(started));
  if (!whole || !began) return std::nullopt;
  d.started_us = *began;
  d.ended_us = std::max(*began, parse_iso_utc(json_text_of(ended)).value_or(*began));
  d.verdict = verdict_of(json_text_of(verdict)).value_or(Verdict::unknown);
  json_members(sender, [&](std::string_view key, std::string_view value) {
    if (key == "ip") d.ip = json_text_of(value);
    if (key != "ptr") return;
    std::string name;
    bool verified = false;
    json_members(value, [&](std::string_view field, std::string_view v) {
      if (field == "name") name = json_text_of(v);
      if (field == "verified") verified = v == "true";
      if (field == "lookup_ms" || field == "forward_ms") d.look_up_us = std::max<int64_t>(d.look_up_us, 0) + ms(v);
    });
    if (verified) d.helo = name;
  });
  json_members(tls, [&](std::string_view key, std::string_view value) {
    if (key == "application_data") d.inside_tls = value == "true";
  });
  json_members(breakdown, [&](std::string_view key, std::string_view value) {
    if (key == "code") d.code = json_text_of(value);
    if (key == "phase") d.phase = phase_of(json_text_of(value)).value_or(Phase::connect);
  });
  if (d.id.empty() || d.ip.empty()) return std::nullopt;
  Reader reader(d);
  reader.events(events);
  reader.messages(messages);
  return d;
}

}  // namespace smtpscope
