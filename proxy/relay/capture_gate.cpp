#include "proxy/relay/capture_gate.h"

#include <fmt/format.h>
#include <uv.h>

#include <utility>

namespace smtpscope {

void CaptureGate::restart(uint64_t sessions, uint64_t for_ms) {
  for (size_t i = 0; i < verdicts_.size(); ++i) before_[i] = verdicts_[i].load();
  began_at_ = admitted_.load();
  limit_ = sessions == 0 ? 0 : admitted_.load() + sessions;
  deadline_ns_ = for_ms == 0 ? 0 : uv_hrtime() + for_ms * 1'000'000;
  told_ = false;
}

bool CaptureGate::over() const {
  const uint64_t deadline_ns = deadline_ns_.load(), limit = limit_.load();
  return (deadline_ns != 0 && uv_hrtime() >= deadline_ns) || (limit != 0 && admitted_.load() >= limit);
}

std::optional<std::string> CaptureGate::admit(const Match& match, const std::string& ip) {
  if (over()) return std::nullopt;
  const std::optional<std::string_view> entry = match(ip);
  if (!entry) return std::nullopt;
  if (const uint64_t limit = limit_.load(); limit == 0) {
    admitted_.fetch_add(1);
  } else {
    uint64_t count = admitted_.load();
    do {
      if (count >= limit) return std::nullopt;
    } while (!admitted_.compare_exchange_weak(count, count + 1));
  }
  return std::string(*entry);
}

std::string CaptureGate::state() const {
  if (over()) return "recording is over";
  std::string state = "recording";
  if (const uint64_t limit = limit_.load(); limit != 0)
    state += fmt::format(", {} of {} sessions", admitted_ - began_at_, limit - began_at_);
  if (const uint64_t deadline_ns = deadline_ns_.load(), now = uv_hrtime(); deadline_ns > now)
    state += fmt::format(", ends in {} min", (deadline_ns - now) / 60'000'000'000 + 1);
  return state;
}

void CaptureGate::ended(Verdict verdict) {
  verdicts_[static_cast<size_t>(verdict)].fetch_add(1);
  finished_.fetch_add(1);
}

std::optional<std::string> CaptureGate::closing_line() {
  if ((limit_ == 0 && deadline_ns_ == 0) || !over() || finished_.load() < admitted_.load() || told_.exchange(true))
    return std::nullopt;
  const auto count = [&](Verdict v) {
    return verdicts_[static_cast<size_t>(v)].load() - before_[static_cast<size_t>(v)].load();
  };
  return fmt::format(
      "capture ended: {} sessions captured: {} delivered, {} broke, {} without mail, {} unknown; mail goes on, "
      "uncaptured",
      count(Verdict::delivered) + count(Verdict::breakdown) + count(Verdict::no_mail) + count(Verdict::unknown),
      count(Verdict::delivered), count(Verdict::breakdown), count(Verdict::no_mail), count(Verdict::unknown));
}

}  // namespace smtpscope
