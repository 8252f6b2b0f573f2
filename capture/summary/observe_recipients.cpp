#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "capture/summary/observe.h"
#include "capture/summary/words.h"
#include "capture/transcript/text_page.h"

namespace smtpscope {
namespace {

constexpr size_t kMostAddresses = 100'000;  ///< that are told apart

struct Domain {
  std::set<std::string> refused, taken;  ///< addresses
  Digests sessions;                      ///< of the refusals
};

std::string domain_of(const std::string& address) {
  const size_t at = address.rfind('@');
  return at == std::string::npos ? std::string() : address.substr(at + 1);
}

}  // namespace

void observe_recipients(const Digests& sessions, std::vector<Observation>& out) {
  std::map<std::string, Domain> domains;
  std::set<std::pair<uint16_t, std::string>> replies;
  size_t addresses = 0;
  for (const SessionDigest* s : sessions)
    for (const DigestMessage& m : s->messages)
      for (const DigestRecipient& r : m.recipients) {
        const bool refused = r.outcome == Outcome::refused || r.outcome == Outcome::put_off;
        const bool taken = r.outcome == Outcome::delivered;
        if ((!refused && !taken) || addresses >= kMostAddresses) continue;
        const std::string address = lower(r.address);
        Domain& domain = domains[domain_of(address)];
        addresses += (refused ? domain.refused : domain.taken).insert(address).second ? 1U : 0U;
        if (!refused) continue;
        replies.insert({r.code, r.enhanced});
        if (domain.sessions.empty() || domain.sessions.back() != s) domain.sessions.push_back(s);
      }

  size_t refused = 0, taken = 0, bad_domains = 0;
  const std::pair<const std::string, Domain>* bad = nullptr;
  for (const auto& entry : domains) {
    refused += entry.second.refused.size();
    taken += entry.second.taken.size();
    if (entry.second.refused.empty()) continue;
    ++bad_domains;
    bad = &entry;
  }
  if (refused < kEnough || bad == nullptr) return;

  const std::string reply = replies.size() == 1
                                ? fmt::format("{}{}{}", replies.begin()->first,
                                              replies.begin()->second.empty() ? "" : " ", replies.begin()->second)
                                : fmt::format("{} different replies", replies.size());
  Observation o;
  if (taken == 0 && replies.size() == 1) {
    o.kind = "all-recipients-refused";
    o.text = fmt::format(
        "All {} recipients were refused in the same way ({}), none was taken: look at the sender, its address or a "
        "rule "
        "for it, not at single mailboxes.",
        grouped(refused), reply);
    Digests all;
    for (const auto& [name, domain] : domains) all.insert(all.end(), domain.sessions.begin(), domain.sessions.end());
    std::sort(all.begin(), all.end(), [](const auto* a, const auto* b) { return a->id < b->id; });
    all.erase(std::unique(all.begin(), all.end()), all.end());
    add_examples(o, all);
  } else if (bad_domains == 1 && bad->second.taken.empty() && taken >= kEnough && !bad->first.empty()) {
    o.kind = "one-domain-refused";
    o.text = fmt::format(
        "Only recipients at {} were refused: all {} of them ({}); {} at other domains were taken. Look at the "
        "gateway's "
        "entries for that domain.",
        bad->first, grouped(refused), reply, grouped(taken));
    add_examples(o, bad->second.sessions);
  } else {
    return;
  }
  o.numbers = {{"refused", static_cast<double>(refused)}, {"taken", static_cast<double>(taken)}};
  out.push_back(std::move(o));
}

}  // namespace smtpscope
