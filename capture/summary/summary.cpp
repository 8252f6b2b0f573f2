#include "capture/summary/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "capture/address_bytes.h"
#include "capture/hex.h"
#include "capture/summary/across.h"
#include "capture/summary/greetings.h"
#include "capture/summary/observe.h"
#include "capture/summary/words.h"
#include "capture/transcript/text_page.h"

namespace smtpscope {
namespace {

constexpr size_t kMostNames = 20'000;  ///< HELO names that are compared over IPv4 and IPv6

bool is_ipv6(const std::string& ip) { return ip.find(':') != std::string::npos; }

/// Could this be the name of one host? "localhost" and address literals are everybody's.
bool names_a_host(const std::string& helo) {
  return helo.find('.') != std::string::npos && helo.front() != '[' && !address_bytes(helo) &&
         lower(helo) != "localhost.localdomain";
}

void count(SenderSummary& s, const SessionDigest& d) {
  if (s.sessions == 0) s.first_us = d.started_us, s.last_us = d.ended_us;
  ++s.sessions;
  ++s.verdicts[static_cast<size_t>(d.verdict)];
  s.first_us = std::min(s.first_us, d.started_us);
  s.last_us = std::max(s.last_us, d.ended_us);
  if (!d.helo.empty()) s.name = d.helo;
  if (d.verdict == Verdict::unknown && d.inside_tls) ++s.inside_tls;
  for (const DigestMessage& m : d.messages) {
    ++s.messages[static_cast<size_t>(m.outcome)];
    if (m.outcome != Outcome::delivered) continue;
    for (const DigestRecipient& r : m.recipients) {
      if (r.outcome != Outcome::refused && r.outcome != Outcome::put_off) continue;
      ++(r.outcome == Outcome::refused ? s.left_out.refused : s.left_out.put_off);
      s.left_out.example = d.id;
    }
  }
  if (d.code.empty()) return;
  CodeCount& code = s.codes[d.code];
  ++code.sessions;
  code.example = d.id;
}

}  // namespace

std::string network_of(const std::string& ip) {
  constexpr size_t kV4Bytes = 15, kV6Bytes = 8;
  const auto bytes = address_bytes(ip);
  if (!bytes) return ip;
  return to_hex(std::string_view(reinterpret_cast<const char*>(bytes->data()), is_ipv6(ip) ? kV6Bytes : kV4Bytes));
}

/// How the sessions of one HELO name came out over IPv4 and over IPv6, from whatever addresses.
struct Summarizer::Families {
  struct Tally {
    uint64_t delivered[2]{}, failed[2]{};  // by is_ipv6
    std::string as_said;
    std::set<std::string> failed_from;
    std::vector<std::string> examples;
  };

  void add(const SessionDigest& d) {
    const bool good = d.verdict == Verdict::delivered, bad = d.verdict == Verdict::breakdown;
    if ((!good && !bad) || d.helo.empty() || !names_a_host(d.helo)) return;
    std::string key = lower(d.helo);
    if (tallies.size() >= kMostNames && !tallies.contains(key)) return;
    Tally& t = tallies[std::move(key)];
    const bool v6 = is_ipv6(d.ip);
    ++(good ? t.delivered : t.failed)[v6 ? 1 : 0];
    t.as_said = d.helo;
    if (!bad || !v6) return;
    if (t.failed_from.size() < kMostExamples) t.failed_from.insert(d.ip);
    if (t.examples.size() < kMostExamples) t.examples.push_back(d.id);
  }

  /// Calls on(ip, observation) for the senders whose IPv6 alone fails.
  void tell(const std::function<void(const std::string&, const Observation&)>& on) const {
    for (const auto& [name, t] : tallies) {
      if (t.failed[1] < kEnough || t.delivered[1] > 0 || t.delivered[0] < kEnough || t.failed[0] > 0) continue;
      Observation o;
      o.kind = "only-over-ipv6";
      o.text =
          fmt::format("{} fails only over IPv6: all {} sessions over IPv6 failed, all {} over IPv4 were delivered.",
                      t.as_said, grouped(t.failed[1]), grouped(t.delivered[0]));
      o.sessions = t.examples;
      o.numbers = {{"failed", static_cast<double>(t.failed[1])}, {"delivered", static_cast<double>(t.delivered[0])}};
      for (const std::string& ip : t.failed_from) on(ip, o);
    }
  }

  std::unordered_map<std::string, Tally> tallies;
};

Summarizer::Summarizer(WindowEnd window_end)
    : window_end_(std::move(window_end)),
      families_(std::make_unique<Families>()),
      greetings_(std::make_unique<Greetings>()) {}
Summarizer::~Summarizer() = default;

void Summarizer::add(SessionDigest digest, bool counted) {
  std::string network = network_of(digest.ip);
  if (network != network_) flush();
  network_ = std::move(network);
  families_->add(digest);
  greetings_->add(digest);
  group_.push_back({std::move(digest), counted});
}

void Summarizer::flush() {
  std::stable_sort(group_.begin(), group_.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.digest.started_us, a.digest.id) < std::tie(b.digest.started_us, b.digest.id);
  });
  std::map<std::string, SenderSummary> senders;
  std::map<std::string, Digests> sessions;
  Digests all;
  for (const Entry& e : group_) {
    all.push_back(&e.digest);
    if (e.counted) count(senders[e.digest.ip], e.digest);
  }
  for (const Entry& e : group_)
    if (senders.contains(e.digest.ip)) sessions[e.digest.ip].push_back(&e.digest);

  find_retries(all, window_end_, [&](Retry&& r) {
    const auto sender = senders.find(r.first_ip);
    if (sender == senders.end()) return;
    SenderSummary& s = sender->second;
    if (s.retry_ends[static_cast<size_t>(r.end)]++ < kMostExamples) s.retries.push_back(std::move(r));
  });
  find_duplicates(all, [&](Duplicate&& d) {
    auto sender = senders.find(d.first_ip);
    if (sender == senders.end()) sender = senders.find(d.second_ip);
    if (sender == senders.end()) return;
    if (sender->second.duplicate_count++ < kMostExamples) sender->second.duplicates.push_back(std::move(d));
  });
  for (auto& [ip, s] : senders) {
    s.ip = ip;
    std::stable_sort(s.retries.begin(), s.retries.end(), [](const Retry& a, const Retry& b) {
      return std::tuple(b.end, a.first_us) < std::tuple(a.end, b.first_us);  // what never came through stands first
    });
    const Digests& own = sessions[ip];
    observe_silences(own, s.observations);
    observe_banners(own, s.observations);
    observe_pauses(own, s.observations);
    observe_recipients(own, s.observations);
    observe_differences(own, s.observations);
    done_.push_back(std::move(s));
  }
  group_.clear();
}

std::vector<SenderSummary> Summarizer::finish() {
  flush();
  std::unordered_map<std::string, SenderSummary*> by_ip;
  for (SenderSummary& s : done_) by_ip[s.ip] = &s;
  const auto tell = [&](const std::string& ip, const Observation& o) {
    if (const auto s = by_ip.find(ip); s != by_ip.end()) s->second->observations.push_back(o);
  };
  families_->tell(tell);
  greetings_->tell(tell);
  std::stable_sort(done_.begin(), done_.end(), [](const SenderSummary& a, const SenderSummary& b) {
    return std::tuple(b.failures(), b.sessions) < std::tuple(a.failures(), a.sessions);
  });
  return std::move(done_);
}

}  // namespace smtpscope
