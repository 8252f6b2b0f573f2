#include "proxy/divert/sender_follower.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>
#include <vector>

#include "config/address_set.h"
#include "proxy/divert/command_runner.h"
#include "proxy/divert/plan.h"
#include "proxy/divert/ruleset.h"

namespace smtpscope {
namespace {

AddressRanges ranges_of(const std::vector<SenderElement>& elements) {
  AddressRanges ranges;
  for (const SenderElement& element : elements) ranges.push_back(element.range);
  return ranges;
}

}  // namespace

std::optional<DivertIntent> changed_senders(const WantedSenders& wanted, const HostFacts& facts, bool may_begin) {
  if (facts.senders_in_force == 0 && !may_begin) return std::nullopt;
  DivertIntent intent = wanted.intent;
  bool changed = false;
  for (size_t i = 0; i < 2; ++i) {
    DivertFamily& family = intent.families[i];
    const std::vector<SenderElement>& now = facts.senders[i];
    if (!wanted.whole) {
      std::vector<DivertStretch> stretches;
      for (size_t n = 0; n < family.senders.size(); ++n)
        stretches.push_back({family.senders[n], family.kept_for_s(n, intent.for_s)});
      for (const SenderElement& element : now) stretches.push_back({element.range, element.left_s});
      put_senders(stretches, family);
    }
    changed = changed || AddressSet(family.senders) != AddressSet(ranges_of(now));
  }
  if (!changed) return std::nullopt;
  return intent;
}

SenderFollower::SenderFollower() { complete_path(); }

SenderFollower::~SenderFollower() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  asked_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void SenderFollower::follow(WantedSenders wanted) {
  const std::lock_guard lock(mutex_);
  next_ = std::move(wanted);
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  asked_.notify_one();
}

void SenderFollower::work() {
  pthread_setname_np(pthread_self(), "divert");
  std::unique_lock lock(mutex_);
  for (;;) {
    asked_.wait(lock, [this] { return stopping_ || next_; });
    if (stopping_) return;
    WantedSenders wanted = *std::exchange(next_, std::nullopt);
    lock.unlock();
    apply(std::move(wanted));
    lock.lock();
    asked_.wait_for(lock, std::chrono::milliseconds(kSettleMs), [this] { return stopping_; });
  }
}

void SenderFollower::apply(WantedSenders wanted) {
  const CommandOutcome listed = run_command({{"nft", "-j", "list", "table", "inet", kDivertTable}, {}});
  if (!listed.ok()) {
    if (listed.output.find("No such file") == std::string::npos) warn(listed.output);
    return;
  }
  HostListing listing;
  listing.ruleset = listed.output;
  const auto facts = read_host_facts(listing);
  if (!facts) return warn(facts.error());
  {
    // Listing takes its time: a command that was told of more meanwhile may have put it into the set already.
    const std::lock_guard lock(mutex_);
    if (next_) wanted = *std::exchange(next_, std::nullopt);
  }
  using Clock = std::chrono::steady_clock;
  const auto intent = changed_senders(wanted, *facts, emptied_until_ && Clock::now() < *emptied_until_);
  if (!intent) return;
  for (size_t i = 0; i < 2; ++i)
    if (intent->families[i].on() && !facts->has_senders_set[i])
      warn(fmt::format("it has none for IPv{}", intent->families[i].suffix()));
  const CommandOutcome changed = run_command(nft(change_senders_ruleset(*intent, facts->has_senders_set)));
  if (!changed.ok()) return warn(changed.output);
  told_.clear();
  const bool nobody = intent->families[0].senders.empty() && intent->families[1].senders.empty();
  emptied_until_.reset();
  if (nobody)
    emptied_until_ = facts->senders_expire ? Clock::now() + std::chrono::seconds(facts->senders_expire_in_s)
                                           : Clock::time_point::max();
  spdlog::info("divert: the kernel diverts other senders now: {} addresses and ranges",
               intent->families[0].senders.size() + intent->families[1].senders.size());
}

void SenderFollower::warn(const std::string& why) {
  if (why == told_) return;
  told_ = why;
  spdlog::warn("divert: the kernel's set of senders cannot be brought up to date: {}; `smtpscope divert on` does it",
               why.substr(0, why.find('\n')));
}

}  // namespace smtpscope
