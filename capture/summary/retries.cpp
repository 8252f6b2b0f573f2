#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "capture/summary/across.h"
#include "capture/summary/words.h"

namespace smtpscope {
namespace {

struct Try {
  std::string from;  // lower case
  const SessionDigest* session;
  const DigestMessage* message;
};

/// The tries of one sender address, in order of time.
class Chains {
 public:
  Chains(const Summarizer::WindowEnd& window_end, const std::function<void(Retry&&)>& on_retry)
      : window_end_(window_end), on_retry_(on_retry) {}

  void message(const SessionDigest& s, const DigestMessage& m) {
    if (m.recipients.empty()) return step(kUnnamed, s, m, {}, m.code, m.outcome);
    // Put off at MAIL, before a recipient was named: the next message of this sender is taken for the retry.
    if (const auto unnamed = open_.find(kUnnamed); unnamed != open_.end()) {
      const std::string& address = m.recipients.front().address;
      auto chain = open_.extract(unnamed);
      chain.key() = lower(address);
      chain.mapped().recipient = address;
      open_.insert(std::move(chain));
    }
    for (const DigestRecipient& r : m.recipients) step(lower(r.address), s, m, r.address, r.code, r.outcome);
  }

  void finish() {
    for (auto& [key, chain] : open_) end(std::move(chain));
    open_.clear();
  }

 private:
  static constexpr const char* kUnnamed = "";

  void step(const std::string& key, const SessionDigest& s, const DigestMessage& m, const std::string& address,
            uint16_t code, Outcome outcome) {
    if (outcome == Outcome::withdrawn) return;
    const auto found = open_.find(key);
    if (found == open_.end()) {
      if (outcome != Outcome::put_off) return;
      Retry r;
      r.mail_from = *m.mail_from;
      r.recipient = address;
      r.code = code;
      r.first_id = r.last_id = s.id;
      r.first_ip = r.last_ip = s.ip;
      r.first_us = m.at_us;
      open_.emplace(key, std::move(r));
      return;
    }
    Retry& r = found->second;
    const int64_t at_us = std::max(m.at_us, r.first_us + r.took_us);
    if (r.last_id == s.id && at_us == r.first_us + r.took_us) {  // named twice in one message: no retry
      if (outcome == Outcome::delivered) open_.erase(found);
      return;
    }
    if (r.gaps_us.size() < kMostGaps) r.gaps_us.push_back(at_us - r.first_us - r.took_us);
    r.took_us = at_us - r.first_us;
    r.last_id = s.id;
    r.last_ip = s.ip;
    ++r.tries;
    r.end = outcome == Outcome::delivered ? Retry::End::delivered
            : outcome == Outcome::refused ? Retry::End::refused
                                          : Retry::End::put_off_again;
    if (r.end == Retry::End::put_off_again) return;
    end(std::move(r));
    open_.erase(found);
  }

  void end(Retry&& r) {
    r.watched_us = std::max<int64_t>(0, window_end_(r.first_ip) - r.first_us - r.took_us);
    on_retry_(std::move(r));
  }

  const Summarizer::WindowEnd& window_end_;
  const std::function<void(Retry&&)>& on_retry_;
  std::map<std::string, Retry> open_;  // by recipient, lower case
};

}  // namespace

std::string_view name(Retry::End end) {
  constexpr std::string_view kNames[] = {"delivered", "refused", "put-off-again", "never-tried-again"};
  return kNames[static_cast<size_t>(end)];
}

void find_retries(const Digests& sessions, const Summarizer::WindowEnd& window_end,
                  const std::function<void(Retry&&)>& on_retry) {
  std::vector<Try> tries;
  for (const SessionDigest* s : sessions)
    for (const DigestMessage& m : s->messages)
      if (m.mail_from) tries.push_back({lower(*m.mail_from), s, &m});
  std::stable_sort(tries.begin(), tries.end(), [](const Try& a, const Try& b) {
    return std::tie(a.from, a.message->at_us) < std::tie(b.from, b.message->at_us);
  });
  Chains chains(window_end, on_retry);
  for (size_t i = 0; i < tries.size(); ++i) {
    if (i > 0 && tries[i].from != tries[i - 1].from) chains.finish();
    chains.message(*tries[i].session, *tries[i].message);
  }
  chains.finish();
}

}  // namespace smtpscope
