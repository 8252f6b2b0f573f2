#include <fmt/format.h>

#include <algorithm>

#include "capture/summary/observe.h"
#include "capture/summary/words.h"
#include "capture/transcript/text_page.h"

namespace smtpscope {
namespace {

void starttls(const Digests& failed, const Digests& good, uint64_t unseen, std::vector<Observation>& out) {
  const auto began = [](const SessionDigest* s) { return s->starttls; };
  if (!std::all_of(failed.begin(), failed.end(), began) || std::any_of(good.begin(), good.end(), began)) return;
  Observation o;
  o.kind = "only-with-starttls";
  o.text = fmt::format("All {} failed sessions began STARTTLS, none of the {} delivered ones did.",
                       grouped(failed.size()), grouped(good.size()));
  if (unseen > 0) o.text += fmt::format(" ({} more with STARTTLS could not be seen into.)", grouped(unseen));
  o.numbers = {{"failed", static_cast<double>(failed.size())},
               {"delivered", static_cast<double>(good.size())},
               {"unknown", static_cast<double>(unseen)}};
  add_examples(o, failed);
  out.push_back(std::move(o));
}

void helo(const Digests& failed, const Digests& good, std::vector<Observation>& out) {
  const std::string name = lower(failed.front()->helo);
  const auto says_it = [&](const SessionDigest* s) { return lower(s->helo) == name; };
  const auto says_nothing = [](const SessionDigest* s) { return s->helo.empty(); };
  if (name.empty() || !std::all_of(failed.begin(), failed.end(), says_it)) return;
  if (std::any_of(good.begin(), good.end(), says_it) || std::any_of(good.begin(), good.end(), says_nothing)) return;
  Observation o;
  o.kind = "only-with-helo";
  o.text =
      fmt::format("All {} failed sessions called themselves {}, none of the {} delivered ones did (the newest: {}).",
                  grouped(failed.size()), failed.front()->helo, grouped(good.size()), good.back()->helo);
  o.numbers = {{"failed", static_cast<double>(failed.size())}, {"delivered", static_cast<double>(good.size())}};
  add_examples(o, failed);
  out.push_back(std::move(o));
}

void size(const Digests& sessions, std::vector<Observation>& out) {
  uint64_t largest_good = 0, smallest_bad = UINT64_MAX, good = 0, bad = 0;
  Digests failed;
  for (const SessionDigest* s : sessions)
    for (const DigestMessage& m : s->messages) {
      const uint64_t bytes = m.declared > 0 && m.outcome != Outcome::delivered ? m.declared : m.bytes;
      if (m.outcome == Outcome::withdrawn || bytes == 0) continue;
      if (m.outcome == Outcome::delivered) {
        ++good;
        largest_good = std::max(largest_good, bytes);
      } else if (m.size_matters) {
        ++bad;
        smallest_bad = std::min(smallest_bad, bytes);
        if (failed.empty() || failed.back() != s) failed.push_back(s);
      }
    }
  // A hair's breadth between them is chance.
  if (good < kEnough || bad < kEnough || smallest_bad / 5 <= largest_good / 4) return;
  Observation o;
  o.kind = "only-large-messages";
  o.text = fmt::format(
      "Only large messages failed: all {} of {} or more failed, all {} of {} or less were delivered (smallest failed "
      "{}, "
      "largest delivered {} bytes).",
      grouped(bad), size_text(smallest_bad), grouped(good), size_text(largest_good), grouped(smallest_bad),
      grouped(largest_good));
  o.numbers = {{"failed", static_cast<double>(bad)},
               {"delivered", static_cast<double>(good)},
               {"smallest_failed_bytes", static_cast<double>(smallest_bad)},
               {"largest_delivered_bytes", static_cast<double>(largest_good)}};
  add_examples(o, failed);
  out.push_back(std::move(o));
}

}  // namespace

void observe_differences(const Digests& sessions, std::vector<Observation>& out) {
  Digests failed, good;
  uint64_t unseen_tls = 0;
  for (const SessionDigest* s : sessions) {
    if (s->verdict == Verdict::breakdown) failed.push_back(s);
    if (s->verdict == Verdict::delivered) good.push_back(s);
    if (s->verdict == Verdict::unknown && s->starttls) ++unseen_tls;
  }
  if (failed.size() >= kEnough && good.size() >= kEnough) {
    starttls(failed, good, unseen_tls, out);
    helo(failed, good, out);
  }
  size(sessions, out);
}

}  // namespace smtpscope
