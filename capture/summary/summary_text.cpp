#include "capture/summary/summary_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "capture/summary/words.h"
#include "capture/transcript/harmless.h"
#include "capture/transcript/text_page.h"

namespace smtpscope {
namespace {

constexpr size_t kShown = 5;  ///< of each list; the rest is counted
constexpr size_t kLeastWidth = 60;

class Page {
 public:
  explicit Page(const TextOptions& options)
      : width_(std::max(kLeastWidth, static_cast<size_t>(std::max(options.width, 0)))), colour_(options.colour) {}

  void head(const std::string& text, bool bad) {
    const char* paint = !colour_ ? "" : bad ? "\x1b[1;31m" : "\x1b[1m";
    for (const std::string& row : wrap(harmless(text), width_, width_))
      out_ += paint + row + (colour_ ? "\x1b[0m" : "") + '\n';
  }
  void line(const std::string& text, size_t indent = 2, std::string_view mark = "") {
    bool first = true;
    const size_t hang = indent + mark.size();
    for (const std::string& row : wrap(harmless(text), width_ - hang, width_ - hang)) {
      out_.append(first ? indent : hang, ' ');
      if (first) out_ += mark;
      out_ += row;
      out_ += '\n';
      first = false;
    }
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
  size_t width_;
  bool colour_;
};

std::string list_of(const std::vector<std::pair<uint64_t, std::string>>& parts) {
  std::string text;
  for (const auto& [n, what] : parts)
    if (n > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", grouped(n), what);
  return text;
}

std::string gaps_of(const Retry& r) {
  std::string text;
  const size_t shown = std::min(r.gaps_us.size(), kShown);
  for (size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : ", ") + span_text(r.gaps_us[i]);
  if (r.tries - 1 > shown) text += ", ...";
  return text;
}

void codes(Page& page, const SenderSummary& s) {
  std::vector<std::pair<std::string, CodeCount>> sorted(s.codes.begin(), s.codes.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.sessions > b.second.sessions; });
  size_t widest = 0;
  for (const auto& [code, count] : sorted) widest = std::max(widest, grouped(count.sessions).size());
  for (const auto& [code, count] : sorted)
    page.line(fmt::format("{:>{}} {}, as in {}", grouped(count.sessions), widest, code, count.example), 4);
}

void retries(Page& page, const SenderSummary& s) {
  using End = Retry::End;
  uint64_t all = 0;
  for (const uint64_t n : s.retry_ends) all += n;
  if (all == 0) return;
  const auto n = [&](End end) { return s.retry_ends[static_cast<size_t>(end)]; };
  page.line(fmt::format("Put off (4xx), {}: {}.", counted(all, "envelope"),
                        list_of({{n(End::delivered), "delivered at a later try"},
                                 {n(End::refused), "then refused for good"},
                                 {n(End::put_off_again), "tried again without success so far"},
                                 {n(End::never), "never tried again so far"}})));
  const size_t shown = std::min(s.retries.size(), kShown);
  for (size_t i = 0; i < shown; ++i) page.line(sentence(s.retries[i]), 4, "- ");
  if (all > shown) page.line(fmt::format("and {} more", grouped(all - shown)), 4, "- ");
}

void duplicates(Page& page, const SenderSummary& s) {
  if (s.duplicate_count == 0) return;
  page.line(fmt::format("Sent again after a lost final reply, {}:", counted(s.duplicate_count, "message")));
  const size_t shown = std::min(s.duplicates.size(), kShown);
  for (size_t i = 0; i < shown; ++i) page.line(sentence(s.duplicates[i]), 4, "- ");
  if (s.duplicate_count > shown) page.line(fmt::format("and {} more", grouped(s.duplicate_count - shown)), 4, "- ");
}

}  // namespace

std::string sentence(const Retry& r) {
  std::string text = fmt::format("<{}> to {}: put off ({}) at {} in {}", r.mail_from,
                                 r.recipient.empty() ? "a recipient not named yet" : '<' + r.recipient + '>', r.code,
                                 moment_text(r.first_us), r.first_id);
  const std::string again = r.tries > 2 ? fmt::format("; between the tries {}", gaps_of(r)) : std::string();
  switch (r.end) {
    case Retry::End::delivered:
      text += fmt::format(", delivered after {} at the {} try", span_text(r.took_us), ordinal(r.tries)) + again;
      break;
    case Retry::End::refused:
      text += fmt::format(", refused for good after {} at the {} try", span_text(r.took_us), ordinal(r.tries)) + again;
      break;
    case Retry::End::put_off_again:
      text += fmt::format(", not delivered in {} tries over {} (so far; the window ended {} after the last)",
                          grouped(r.tries), span_text(r.took_us), span_text(r.watched_us)) +
              again;
      break;
    case Retry::End::never:
      text += fmt::format(", never tried again (so far; the window ended {} later)", span_text(r.watched_us));
      break;
  }
  if (r.tries > 1) text += fmt::format(" (in {}{})", r.last_id, r.last_ip == r.first_ip ? "" : ", from " + r.last_ip);
  return text + '.';
}

std::string sentence(const Duplicate& d) {
  const auto queue = [](const std::string& id) {
    return id.empty() ? std::string("no queue id seen") : "queue id " + id;
  };
  const char* risk = d.first_taken && d.second_taken ? "the gateway took both, so it is a duplicate"
                     : d.first_taken || d.second_taken
                         ? "a duplicate is likely: the gateway's log tells whether it took the other one too"
                         : "the gateway may have taken either; its log tells";
  return fmt::format("<{}> to <{}>: {} ({}), again {} later in {} ({}{}), {}; {}.", d.mail_from, d.recipient,
                     d.first_id, queue(d.first_queue_id), span_text(d.after_us), d.second_id, queue(d.second_queue_id),
                     d.first_ip == d.second_ip ? "" : ", from " + d.second_ip,
                     d.by_hash ? "the same body" : "the same envelope and size", risk);
}

std::string notice_text(const std::string& head, const std::vector<std::string>& sentences,
                        const TextOptions& options) {
  Page page(options);
  page.head(head, true);
  for (const std::string& text : sentences)
    if (!text.empty()) page.line(text);
  return page.take();
}

std::string summary_text(const SenderSummary& s, const TextOptions& options) {
  const auto verdict = [&](Verdict v) { return s.verdicts[static_cast<size_t>(v)]; };
  const auto message = [&](Outcome o) { return s.messages[static_cast<size_t>(o)]; };
  Page page(options);
  page.head(s.ip + (s.name.empty() ? "" : "  calls itself " + s.name), s.failures() > 0);
  page.line(fmt::format("{} from {} to {} UTC: {}.", counted(s.sessions, "session"), moment_text(s.first_us),
                        moment_text(s.last_us),
                        list_of({{verdict(Verdict::breakdown), "broke"},
                                 {verdict(Verdict::delivered), "delivered"},
                                 {verdict(Verdict::no_mail), "without mail"},
                                 {s.inside_tls, "inside TLS"},
                                 {verdict(Verdict::unknown) - s.inside_tls, "not seen to the end"}})));
  const std::string messages = list_of({{message(Outcome::delivered), "delivered"},
                                        {message(Outcome::refused), "refused"},
                                        {message(Outcome::put_off), "put off (4xx)"},
                                        {message(Outcome::unfinished), "unfinished"},
                                        {message(Outcome::withdrawn), "taken back by the sender"}});
  if (!messages.empty())
    page.line("Messages: " + messages + '.');
  else if (s.inside_tls == 0)
    page.line("No message was begun.");
  if (s.inside_tls > 0)
    page.line(fmt::format("{} inside TLS: {} cannot be seen; the gateway's log has what became of them.",
                          grouped(s.inside_tls), s.inside_tls == 1 ? "its messages" : "their messages"));
  if (const uint64_t left_out = s.left_out.refused + s.left_out.put_off; left_out > 0)
    page.line(fmt::format("{} of delivered messages did not get them: {}, as in {}.", counted(left_out, "recipient"),
                          list_of({{s.left_out.refused, "refused (5xx)"}, {s.left_out.put_off, "put off (4xx)"}}),
                          s.left_out.example),
              2, "! ");
  codes(page, s);
  retries(page, s);
  duplicates(page, s);
  for (const Observation& o : s.observations) page.line(o.text, 2, "* ");
  return page.take();
}

}  // namespace smtpscope
