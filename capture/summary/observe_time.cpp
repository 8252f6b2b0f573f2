#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "capture/summary/observe.h"
#include "capture/summary/words.h"
#include "capture/transcript/text_page.h"

namespace smtpscope {
namespace {

constexpr int64_t kSecond = 1'000'000;

/// Silences apart by no more than this are one limit: timers are coarse, networks are not that slow.
int64_t tolerance(int64_t us) { return std::max<int64_t>(kSecond / 2, us / 33); }

std::string_view circumstance(const SessionDigest& s) {
  if (s.left == From::gateway) return s.waited ? "waiting for the sender" : "owing the sender an answer";
  if (!s.waited) return "although it was its own turn";
  if (s.banner_us < 0) return "waiting for the greeting";
  return s.phase == Phase::end_of_data ? "waiting for the final reply" : "waiting for a reply";
}

/// "30 s" near a whole second, else "about 37.4 s".
std::string limit_text(int64_t us) {
  const int64_t whole = (us + kSecond / 2) / kSecond;
  if (std::abs(us - whole * kSecond) <= std::max<int64_t>(kSecond * 3 / 20, us / 100)) {
    const std::string text = span_text(whole * kSecond);
    return text.ends_with(".0 s") ? text.substr(0, text.size() - 4) + " s" : text;
  }
  return "about " + span_text(us);
}

struct Cluster {
  size_t first = 0, count = 0;
};

/// The most of these sorted sessions whose silences are nearly the same.
Cluster largest_cluster(const Digests& sorted) {
  Cluster best;
  for (size_t first = 0, last = 0; last < sorted.size(); ++last) {
    while (sorted[last]->silence_us - sorted[first]->silence_us > tolerance(sorted[first]->silence_us)) ++first;
    if (last - first + 1 > best.count) best = {first, last - first + 1};
  }
  return best;
}

int64_t median(std::vector<int64_t> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Ranks of the values, ties sharing theirs.
std::vector<double> ranks(const std::vector<int64_t>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (size_t i = 0, end = 0; i < order.size(); i = end) {
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (size_t k = i; k < end; ++k) rank[order[k]] = static_cast<double>(i + end - 1) / 2;
  }
  return rank;
}

/// Spearman's correlation of the values with their order: 1 grows throughout, -1 shrinks throughout.
double trend(const std::vector<int64_t>& values) {
  const std::vector<double> rank = ranks(values);
  const double mean = static_cast<double>(values.size() - 1) / 2;
  double together = 0, time = 0, value = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double t = static_cast<double>(i) - mean, v = rank[i] - mean;
    together += t * v, time += t * t, value += v * v;
  }
  return value == 0 || time == 0 ? 0 : together / std::sqrt(time * value);
}

}  // namespace

void add_examples(Observation& o, const Digests& sessions) {
  const size_t from = sessions.size() > kMostExamples ? sessions.size() - kMostExamples : 0;
  for (size_t i = from; i < sessions.size(); ++i) o.sessions.push_back(sessions[i]->id);
}

void observe_silences(const Digests& sessions, std::vector<Observation>& out) {
  std::map<std::string_view, Digests> groups;
  for (const SessionDigest* s : sessions)
    if (s->left) groups[circumstance(*s)].push_back(s);
  for (auto& [circumstances, group] : groups) {
    std::stable_sort(group.begin(), group.end(),
                     [](const auto* a, const auto* b) { return a->silence_us < b->silence_us; });
    const Cluster cluster = largest_cluster(group);
    // Among many silences of any length some are near each other by chance.
    if (cluster.count < kEnough || cluster.count * 2 < group.size()) continue;
    Digests same(group.begin() + static_cast<std::ptrdiff_t>(cluster.first),
                 group.begin() + static_cast<std::ptrdiff_t>(cluster.first + cluster.count));
    const int64_t typical = same[same.size() / 2]->silence_us;
    const bool by_gateway = same.front()->left == From::gateway;
    Observation o;
    o.kind = "same-silence";
    o.text = fmt::format(
        "{} left after {} each time, {} ({} of {} sessions that ended so, after {} to {}): a limit of {} at the {}.",
        by_gateway ? "The gateway" : "The sender", span_text(typical), circumstances, grouped(same.size()),
        grouped(group.size()), span_text(same.front()->silence_us), span_text(same.back()->silence_us),
        limit_text(typical), by_gateway ? "gateway" : "sender");
    o.numbers = {{"sessions", static_cast<double>(same.size())},
                 {"of", static_cast<double>(group.size())},
                 {"silence_ms", static_cast<double>(typical) / 1000}};
    std::stable_sort(same.begin(), same.end(),
                     [](const auto* a, const auto* b) { return a->started_us < b->started_us; });
    add_examples(o, same);
    out.push_back(std::move(o));
  }
}

void observe_banners(const Digests& sessions, std::vector<Observation>& out) {
  constexpr size_t kLeast = 6;
  constexpr double kSteady = 0.8;
  Digests greeted;
  std::vector<int64_t> delays;
  for (const SessionDigest* s : sessions) {
    if (s->banner_us < 0) continue;
    greeted.push_back(s);
    delays.push_back(s->banner_us);
  }
  if (greeted.size() < kLeast || std::abs(trend(delays)) < kSteady) return;
  const auto third = static_cast<std::ptrdiff_t>(delays.size() / 3);
  const int64_t first = median({delays.begin(), delays.begin() + third});
  const int64_t last = median({delays.end() - third, delays.end()});
  const bool slower = last > first;
  if (std::abs(last - first) < kSecond || std::max(first, last) < 2 * std::min(first, last)) return;
  Observation o;
  o.kind = slower ? "banner-slower" : "banner-faster";
  o.text = fmt::format(
      "The gateway's greeting came {} over these {} sessions: after {} in the first third, after {} in the last "
      "(medians)"
      "{}.",
      slower ? "later and later" : "sooner and sooner", grouped(greeted.size()), span_text(first), span_text(last),
      slower ? ": the gateway delays this sender, or its load or DNS gets worse" : "");
  o.numbers = {{"sessions", static_cast<double>(greeted.size())},
               {"first_ms", static_cast<double>(first) / 1000},
               {"last_ms", static_cast<double>(last) / 1000}};
  add_examples(o, greeted);
  out.push_back(std::move(o));
}

}  // namespace smtpscope
