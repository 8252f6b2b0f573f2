#include "capture/summary/greetings.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "capture/summary/observe.h"
#include "capture/summary/words.h"
#include "capture/transcript/text_page.h"

namespace smtpscope {
namespace {

constexpr int64_t kMinute = 60'000'000;
constexpr int64_t kSlow = 3'000'000, kQuick = 1'000'000;
constexpr int64_t kSlowLookUp = 1'000'000;

std::string clock(int64_t minute) { return moment_text(minute * kMinute).substr(11, 5); }

}  // namespace

void Greetings::add(const SessionDigest& d) {
  // What waited for the sender's own DNS says nothing of the gateway.
  if (d.banner_us < 0 || d.look_up_us >= kSlowLookUp || (d.banner_us >= kQuick && d.banner_us < kSlow)) return;
  const int64_t at = d.started_us / kMinute;
  if (minutes_.size() >= kMostMinutes && !minutes_.contains(at)) return;
  Minute& minute = minutes_[at];
  if (d.banner_us < kQuick) {
    if (minute.quick.size() < kMostSenders &&
        std::find(minute.quick.begin(), minute.quick.end(), d.ip) == minute.quick.end())
      minute.quick.push_back(d.ip);
    return;
  }
  const bool known = std::any_of(minute.slow.begin(), minute.slow.end(), [&](const Slow& s) { return s.ip == d.ip; });
  if (!known && minute.slow.size() < kMostSenders) minute.slow.push_back({d.ip, d.id, d.banner_us});
}

void Greetings::tell(const std::function<void(const std::string&, const Observation&)>& on) const {
  std::map<std::string, Observation> told;  // by sender; the first such time of each
  for (auto from = minutes_.begin(); from != minutes_.end(); ++from) {
    // Sessions that began in one minute or the next were there at once.
    const auto next = std::next(from);
    std::vector<const Slow*> slow;
    std::set<std::string> slow_from, quick_from;
    const auto take = [&](const Minute& minute) {
      for (const Slow& s : minute.slow)
        if (slow_from.insert(s.ip).second) slow.push_back(&s);
      quick_from.insert(minute.quick.begin(), minute.quick.end());
    };
    take(from->second);
    if (next != minutes_.end() && next->first == from->first + 1) take(next->second);
    if (slow.size() < kEnough || quick_from.size() * 4 > slow.size()) continue;
    std::set<std::string> networks;
    for (const Slow* s : slow) networks.insert(network_of(s->ip));
    if (networks.size() < kEnough) continue;  // one sender with many hosts
    std::vector<int64_t> delays;
    delays.reserve(slow.size());
    for (const Slow* s : slow) delays.push_back(s->banner_us);
    std::sort(delays.begin(), delays.end());
    const bool constant = same_pause(delays.front(), delays.back()) && round_pause(delays[delays.size() / 2]);
    Observation o;
    o.kind = constant ? "pause-for-all" : "slow-for-all";
    o.text = fmt::format(
        "About {} UTC the greeting took {} to {} for {} senders{}: {}.", clock(from->first), span_text(delays.front()),
        span_text(delays.back()), grouped(slow.size()),
        quick_from.empty() ? ", and nobody was greeted at once"
                           : fmt::format(", and {} were greeted at once", grouped(quick_from.size())),
        constant ? "the same round time for all, so " + pause_cause(delays[delays.size() / 2])
                 : "the gateway's load, or a look-up that it makes for every sender, is more likely than something at "
                   "this sender");
    o.numbers = {{"senders", static_cast<double>(slow.size())},
                 {"quick", static_cast<double>(quick_from.size())},
                 {"shortest_ms", static_cast<double>(delays.front()) / 1000},
                 {"longest_ms", static_cast<double>(delays.back()) / 1000}};
    for (size_t i = 0; i < slow.size() && i < kMostExamples; ++i) o.sessions.push_back(slow[i]->id);
    for (const Slow* s : slow) told.emplace(s->ip, o);
  }
  for (const auto& [ip, o] : told) on(ip, o);
}

}  // namespace smtpscope
