#include "capture/diagnosis/verdict.h"

#include <algorithm>

#include "capture/diagnosis/reply_match.h"

namespace smtpscope {
namespace {

constexpr std::string_view kBeginsLate = "What is known of this session begins in its middle.";
constexpr int64_t kPatience = 10 * kSecond;  // a check that needs no mail is over by then

std::string say(View& view, Verdict verdict, std::string reason = "") {
  view.verdict = verdict;
  return reason;
}

bool explicit_failure(const View& v, const Message& m) {
  if (v.refused(m.mail_reply) || v.refused(m.data_reply) || v.refused(m.final_reply)) return true;
  if (m.data >= 0 && v.refused(v.replies[static_cast<size_t>(m.data)])) return true;  // a BDAT that is none
  return !m.recipients.empty() &&
         std::all_of(m.recipients.begin(), m.recipients.end(), [](const Recipient& r) { return r.code >= 400; });
}

/// Of a capture that was not made by the proxy, which may have heard one side only.
std::string foreign_blind_reason(const View& v) {
  const uint64_t sender = v.seen(From::sender), gateway = v.seen(From::gateway);
  const bool gateway_closed = std::any_of(v.events.begin(), v.events.end(), [](const Event& e) {
    return e.kind == Event::Kind::close && e.from == From::gateway;
  });
  if (gateway == 0 && sender > 0 && !gateway_closed) return "The capture holds only the sender's side of the session.";
  size_t replies = 0;
  for (const Event& e : v.events) replies += e.kind == Event::Kind::reply ? 1 : 0;
  if (sender == 0 && replies > 1) return "The capture holds only the gateway's side of the session.";
  if (v.c.session.begins_late) return std::string(kBeginsLate);
  if (!v.c.end.capture_loss.empty())
    return "The capture does not hold all of the session: " + v.c.end.capture_loss + ".";
  if (v.c.counts.gaps > 0) return "Bytes of the session are missing from the capture where it matters.";
  return "";
}

/// Why parts of the session could not be seen; empty if all could.
std::string blind_reason(const View& v) {
  if (v.c.end.interrupted) return "The recording stops before the end of the session: the proxy was interrupted.";
  const bool foreign = v.c.session.instance.empty();
  if (std::string reason = foreign ? foreign_blind_reason(v) : ""; !reason.empty()) return reason;
  if (!v.c.end.capture_loss.empty()) return "Parts of the session were not recorded (" + v.c.end.capture_loss + ").";
  if (v.c.counts.gaps > 0) return "Bytes are missing from the recording where it matters.";
  if (v.events.size() >= 20'000) return "The session is longer than what is kept of it.";
  if (v.c.session.source == "injection-log" && v.close() == nullptr && !v.took_leave())
    return "The log shows no end of the session (no QUIT with 221, no 421), and does not record who closed the "
           "connection, or how.";
  return "";
}

bool matters_without_mail(const View& v, int32_t refusal) {
  const Event& e = *v.at(refusal);
  if (e.code == 421 || e.phase == Phase::banner) return true;
  const Event* asked = v.at(e.answers);
  if (asked == nullptr) return false;
  switch (asked->verb) {
    case Verb::noop:
    case Verb::vrfy:
    case Verb::expn:
    case Verb::help:
    case Verb::rset:
    case Verb::quit:
    case Verb::none:
      return false;
    default:
      return !harmless(v, refusal);
  }
}

std::string decide_banner(View& v, const std::string& blind) {
  const int64_t reached = v.c.connect.state == GatewayConnect::State::connected ? v.c.connect.at_us : 0;
  if (v.close() == nullptr)
    return say(v, Verdict::unknown, blind.empty() ? "The recording ends before the greeting." : blind);
  if (v.closed_by(From::sender) && v.first_sent < 0 && v.close()->at_us - reached < kProbe && v.cut_reply < 0)
    return say(v, Verdict::no_mail, "The sender connected and left at once, as port probes and health checks do.");
  return blind.empty() ? say(v, Verdict::breakdown) : say(v, Verdict::unknown, blind);
}

std::string decide_without_mail(View& v, const std::string& blind) {
  if (v.c.connect.state == GatewayConnect::State::failed) return say(v, Verdict::breakdown);
  if (v.banner_owed()) return decide_banner(v, blind);
  if (const Event* banner = v.at(v.banner); banner != nullptr && (banner->code < 200 || banner->code >= 300))
    return say(v, Verdict::breakdown);
  for (const Event& e : v.events)
    if (e.verb == Verb::http) return say(v, Verdict::breakdown);
  for (const int32_t refusal : v.refusals)
    if (matters_without_mail(v, refusal)) return say(v, Verdict::breakdown);
  if (!blind.empty() && (v.c.counts.gaps > 0 || v.c.session.begins_late)) return say(v, Verdict::unknown, blind);
  const bool owed = v.gave_up >= 0 || (v.unanswered >= 0 && v.unanswered != v.quit);
  if (!owed && v.quit >= 0 && v.cut_command < 0)
    return say(v, Verdict::no_mail,
               "The sender said QUIT without beginning a message, as health checks and probes do.");
  if (!blind.empty()) return say(v, Verdict::unknown, blind);
  if (v.close() == nullptr) return say(v, Verdict::unknown, "The recording ends before the session does.");
  const bool quick = v.close()->at_us - v.owed_since() < kPatience;
  const bool clean = v.close()->how == CloseHow::fin || v.first_sent < 0;
  if (!owed && v.closed_by(From::sender) && quick && clean && v.cut_command < 0 && v.cut_reply < 0)
    return say(v, Verdict::no_mail,
               v.first_sent < 0 ? "The sender took the greeting and left, as port probes do."
                                : "The sender left without beginning a message, as checks do.");
  return say(v, Verdict::breakdown);
}

/// A refusal inside a failed message that did not stop it: of one recipient among accepted ones, or of a command that
/// is no part of the transaction or was repeated with success.
bool beside_the_point(const View& v, const Message& m, int32_t reply) {
  if (v.at(reply)->code == 421 || v.at(reply)->code < 400) return false;
  if (reply == m.mail_reply || reply == m.data_reply || reply == m.final_reply) return false;
  bool of_recipient = false, others_accepted = false;
  for (const Recipient& r : m.recipients) {
    of_recipient = of_recipient || r.reply == reply;
    others_accepted = others_accepted || (r.code >= 200 && r.code < 300);
  }
  return !of_recipient || (others_accepted && m.data >= 0);
}

}  // namespace

/// Does a refusal say that the sender did not wait? Postfix's postscreen and Exim go on with the session up to RCPT.
static bool refused_for_haste(const View& v) {
  return std::any_of(v.refusals.begin(), v.refusals.end(), [&](int32_t refusal) {
    const std::string words = judged_words(v.at(refusal)->text);
    return words.find("protocol error") != std::string::npos || words.find("synchroni") != std::string::npos;
  });
}

bool harmless(const View& v, int32_t event) {
  const Event* e = v.at(event);
  if (e == nullptr) return false;
  const bool answer = e->kind == Event::Kind::reply && e->answers >= 0;
  const int32_t place = answer ? e->answers : event;
  if (const Message* m = v.message_at(place)) return !v.failed(*m) || (answer && beside_the_point(v, *m, event));
  const Event* asked = v.at(e->answers);
  if (e->phase == Phase::auth) {
    const bool later_ok = std::any_of(v.events.begin() + event, v.events.end(), [](const Event& r) {
      return r.kind == Event::Kind::reply && r.phase == Phase::auth && r.code >= 200 && r.code < 300;
    });
    return later_ok || v.rcpt_accepted_after(event);
  }
  if (e->phase == Phase::helo && answer && v.helo_ok > event && asked != nullptr && asked->verb != Verb::http)
    return true;
  // Having talked before the greeting was harmless if mail went on, unless a later refusal names it.
  return v.mail_accepted_after(event) && !(event == v.first_sent && event < v.banner && refused_for_haste(v));
}

std::string decide_verdict(View& v) {
  const std::string blind = blind_reason(v);
  bool failed = false, explicit_one = false;
  size_t delivered = 0, withdrawn = 0;
  for (const Message& m : v.messages) {
    if (v.delivered(m)) {
      ++delivered;
    } else if (v.failed(m)) {
      failed = true;
      explicit_one = explicit_one || explicit_failure(v, m);
    } else {
      ++withdrawn;
    }
  }
  if (failed) {
    if (!blind.empty() && !explicit_one) return say(v, Verdict::unknown, blind);
    if (v.close() == nullptr && !explicit_one && v.unanswered < 0 && v.c.end.proxy_cause.empty() && v.refusals.empty())
      return say(v, Verdict::unknown, "The recording ends before the session does.");
    return say(v, Verdict::breakdown);
  }
  if (delivered > 0) return say(v, Verdict::delivered);
  if (v.inside_tls()) {
    if (v.c.tls->application_data)
      return say(v, Verdict::unknown,
                 "The session went on inside TLS, which was passed through unread: how it ended cannot be seen.");
    return blind.empty() ? say(v, Verdict::breakdown) : say(v, Verdict::unknown, blind);
  }
  if (v.c.session.begins_late) {
    for (const int32_t refusal : v.refusals)
      if (matters_without_mail(v, refusal)) return say(v, Verdict::breakdown);
    return say(v, Verdict::unknown, std::string(kBeginsLate) + " No message is seen in it.");
  }
  if (withdrawn > 0 && !blind.empty() && v.c.counts.gaps > 0) return say(v, Verdict::unknown, blind);
  if (withdrawn > 0)
    return say(v, Verdict::no_mail, "The sender asked whether an address is accepted and sent no message.");
  return decide_without_mail(v, blind);
}

}  // namespace smtpscope
