// The verdict first; then each refusing reply goes to the first rule that knows it, and the rules that look at the
// session as a whole are asked. Of a broken session, the earliest match that was not made good later is the breakdown.
#include "capture/diagnosis/engine.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "capture/diagnosis/reply_match.h"
#include "capture/diagnosis/verdict.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr std::string_view kLastResort = "not-settled";
constexpr size_t kMaxNotes = 50;
constexpr size_t kMaxGot = 500;
constexpr size_t kMaxSummary = 400;

struct Found {
  const Rule* rule;
  Match match;
  size_t order;  ///< place of the rule in the tables
};

std::string shortened(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0U) == 0x80U) --limit;  // not inside a character
  text.resize(limit);
  return text + "...";
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

Finding finding_of(const View& view, const Found& found) {
  const Rule& rule = *found.rule;
  const Match& match = found.match;
  Finding f;
  f.code = rule.code;
  const Event* e = view.at(match.event);
  // A rule for replies in any phase takes the phase of the reply.
  f.phase = match.phase ? *match.phase : rule.reply.from != 0 && e != nullptr ? e->phase : rule.phase;
  f.party = match.party.value_or(rule.party);
  f.confidence = match.confidence;
  f.event = match.event;
  f.at_us = match.at_us;
  f.stream = match.stream;
  f.offset = match.offset;
  f.length = match.length;
  const auto words = [](const std::string& own, std::string_view common) {
    return own.empty() ? std::string(common) : own;
  };
  f.expected = words(match.expected, rule.expected);
  f.got = match.got.empty() ? "nothing" : shortened(match.got, kMaxGot);
  f.why = words(match.why, rule.why);
  f.advice = words(match.advice, rule.advice);
  for (const std::string_view reference : rule.references)
    if (!reference.empty()) f.references.emplace_back(reference);
  return f;
}

std::vector<Found> run_rules(const View& view) {
  std::vector<Found> all;
  for (const int32_t refusal : view.refusals) {
    if (all.size() >= kMaxNotes * 4) break;
    if (const Rule* rule = judge_refusal(view, refusal)) all.push_back({rule, match_event(view, refusal), 0});
  }
  size_t order = 0;
  for (const Rule* rule : all_rules()) {
    ++order;
    for (Found& found : all)
      if (found.rule == rule) found.order = order;
    if (rule->check == nullptr) continue;
    if (std::optional<Match> match = rule->check(view)) all.push_back({rule, std::move(*match), order});
  }
  std::stable_sort(all.begin(), all.end(), [](const Found& a, const Found& b) {
    // Replies of one segment came at one time, but in an order; what is no event comes behind those of its time.
    const auto key = [](const Found& f) {
      return std::tuple(f.match.at_us, static_cast<uint32_t>(f.match.event), f.order);
    };
    return key(a) < key(b);
  });
  return all;
}

/// Whom the reply that broke it was about: " <x@y>" behind a title that ends in whom it means, else in parentheses.
std::string subject_of(const View& view, const Rule& rule, const Finding& f) {
  const Event* reply = view.at(f.event);
  if (reply == nullptr || reply->kind != Event::Kind::reply || reply->answers < 0) return "";
  for (const Message& m : view.messages) {
    if (m.mail == reply->answers)
      return fmt::format(fmt::runtime(rule.title.ends_with("envelope sender") ? " <{}>" : " (envelope sender <{}>)"),
                         m.mail_from.value_or(""));
    for (const Recipient& r : m.recipients)
      if (r.command == reply->answers)
        return rule.title.ends_with("recipient") ? " <" + r.address + ">" : " (recipient <" + r.address + ">)";
  }
  return "";
}

std::string summary_of(const View& view, const Rule& rule, const Finding& f) {
  const Event* e = view.at(f.event);
  const bool reply = e != nullptr && e->kind == Event::Kind::reply && rule.reply.from != 0;
  if (!reply) return shortened(fmt::format("{}: {}", rule.title, one_line(f.why)), kMaxSummary);
  return fmt::format("{}{}: {}", rule.title, subject_of(view, rule, f), shortened(one_line(f.got), kMaxSummary / 2));
}

std::string delivered_summary(const View& view) {
  size_t messages = 0, recipients = 0, accepted = 0;
  std::string ids;
  for (const Message& m : view.messages) {
    if (!view.delivered(m)) continue;
    ++messages;
    for (const Recipient& r : m.recipients) {
      ++recipients;
      accepted += r.code < 400 ? 1U : 0U;
    }
    if (!m.queue_id.empty() && messages <= 3) ids.append(ids.empty() ? "" : ", ").append(m.queue_id);
  }
  std::string text = messages == 1 ? std::string("The gateway accepted the message")
                                   : fmt::format("The gateway accepted all {} messages", messages);
  if (recipients > 0)
    text += accepted == recipients ? fmt::format(" for {} recipient{}", recipients, recipients == 1 ? "" : "s")
                                   : fmt::format(" for {} of {} recipients", accepted, recipients);
  if (!ids.empty()) text += fmt::format(" (queue id {}{})", ids, messages > 3 ? ", ..." : "");
  return text + ".";
}

/// The earliest that was not made good; failing that the earliest refusal of all; failing that "not-settled".
const Found* cause_among(const View& view, const std::vector<Found>& found) {
  const Found* last_resort = nullptr;
  const Found* refusal = nullptr;
  for (const Found& f : found) {
    if (f.rule->kind != Rule::Kind::breakdown) continue;
    if (f.rule->code == kLastResort)
      last_resort = &f;
    else if (!harmless(view, f.match.event))
      return &f;
    else if (refusal == nullptr && f.rule->reply.from != 0)
      refusal = &f;
  }
  return refusal != nullptr ? refusal : last_resort;
}

}  // namespace

Diagnosis diagnose(const Case& session) {
  View view(session);
  Diagnosis d;
  d.summary = decide_verdict(view);
  d.verdict = view.verdict;
  std::vector<Found> found = run_rules(view);

  const Found* cause = view.broken() ? cause_among(view, found) : nullptr;
  for (const Found& f : found) {
    if (&f == cause) {
      d.breakdown = finding_of(view, f);
      d.summary = summary_of(view, *f.rule, *d.breakdown);
    } else if (f.rule->code != kLastResort && d.notes.size() < kMaxNotes) {
      d.notes.push_back(finding_of(view, f));
    }
  }
  if (d.verdict == Verdict::delivered) d.summary = delivered_summary(view);
  return d;
}

}  // namespace smtpscope
