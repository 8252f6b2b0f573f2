#include "proxy/relay/header_refusals.h"

#include <fmt/format.h>

#include <utility>

namespace smtpscope {

std::optional<std::string> HeaderRefusals::refuse(Why why, const std::string& ip, std::string_view detail,
                                                  uint64_t now_ns) {
  counts_[static_cast<size_t>(why)].fetch_add(1, std::memory_order_relaxed);
  if (why == Why::closed) return std::nullopt;
  const std::lock_guard lock(mutex_);
  auto it = told_.find(ip);
  if (it != told_.end() && now_ns - it->second.at_ns < kQuietNs) {
    ++it->second.since;
    return std::nullopt;
  }
  if (it == told_.end()) {
    if (told_.size() >= kMaxPeers)
      std::erase_if(told_, [&](const auto& e) { return now_ns - e.second.at_ns >= kQuietNs; });
    if (told_.size() >= kMaxPeers) return std::nullopt;
    it = told_.try_emplace(ip).first;
  }
  const uint64_t before = std::exchange(it->second, {now_ns, 0}).since;
  std::string line = fmt::format("refused a connection of {}: {}", ip, detail);
  if (before > 0) line += fmt::format(" ({} more since it was last told)", before);
  return line;
}

}  // namespace smtpscope
