// Greetings that keep the sender waiting: equally long each time, as no load and no network is.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "capture/summary/observe.h"
#include "capture/summary/words.h"
#include "capture/transcript/text_page.h"

namespace smtpscope {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kLeastPause = kSecond;
constexpr int64_t kSpread = kSecond / 4;       // timers fire late, networks add a little
constexpr int64_t kQuickLookUp = kSecond;      // what takes less holds no greeting up
constexpr int64_t kResolverTry = 5 * kSecond;  // resolvers ask again after this

bool is_multiple(int64_t us, int64_t unit) { return us >= unit && us % unit <= kSpread; }

}  // namespace

bool same_pause(int64_t a_us, int64_t b_us) { return std::abs(a_us - b_us) <= kSpread; }

bool round_pause(int64_t us) { return us >= kLeastPause && is_multiple(us, kSecond); }

std::string pause_cause(int64_t us) {
  if (is_multiple(us, kResolverTry))
    return "a pause set by policy, or a look-up of the gateway that ends in its time-out each time (resolvers ask "
           "again "
           "after 5 s), such as a block list that does not answer";
  return "a pause set by policy" + std::string(same_pause(us, 6 * kSecond) ? " (Postfix's postscreen waits 6 s)" : "");
}

void observe_pauses(const Digests& sessions, std::vector<Observation>& out) {
  Digests late;
  size_t quick = 0;
  for (const SessionDigest* s : sessions) {
    if (s->banner_us < 0) continue;
    if (s->banner_us < kLeastPause)
      ++quick;
    else if (s->look_up_us < kQuickLookUp)  // else the sender's reverse DNS explains it
      late.push_back(s);
  }
  if (late.size() < kEnough) return;
  std::stable_sort(late.begin(), late.end(), [](const auto* a, const auto* b) { return a->banner_us < b->banner_us; });
  const int64_t shortest = late.front()->banner_us, longest = late.back()->banner_us;
  const int64_t typical = late[late.size() / 2]->banner_us;
  if (!same_pause(shortest, longest) || !round_pause(typical)) return;
  std::stable_sort(late.begin(), late.end(),
                   [](const auto* a, const auto* b) { return a->started_us < b->started_us; });
  const bool looked_up =
      std::any_of(late.begin(), late.end(), [](const SessionDigest* s) { return s->look_up_us >= 0; });
  Observation o;
  o.kind = "greeting-pause";
  o.text = fmt::format("The greeting took {} each time ({} of {} sessions, from {:.2f} s to {:.2f} s{}): {}{}.",
                       span_text(typical), grouped(late.size()), grouped(late.size() + quick),
                       static_cast<double>(shortest) / 1e6, static_cast<double>(longest) / 1e6,
                       quick > 0 ? "; the others were greeted at once" : "", pause_cause(typical),
                       looked_up ? "; the sender's reverse DNS was quick" : "");
  o.numbers = {{"sessions", static_cast<double>(late.size())},
               {"of", static_cast<double>(late.size() + quick)},
               {"delay_ms", static_cast<double>(typical) / 1000}};
  add_examples(o, late);
  out.push_back(std::move(o));
}

}  // namespace smtpscope
