// Connections of a listener for load balancers that were closed without becoming sessions: counted all, told once a
// peer and minute. Thread-safe; asked only when something is refused.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace smtpscope {

class HeaderRefusals {
 public:
  enum class Why : uint8_t {
    untrusted,  ///< the peer is none of "trusted"
    malformed,  ///< what it sent is no PROXY header
    late,       ///< the header was not whole in time
    closed,     ///< it left without a byte, as a probe of the port does; never told
  };
  static constexpr std::array<std::string_view, 4> kNames{"untrusted", "malformed", "late", "closed"};

  /// Counts it. A line for the log, if this peer's last one is a minute old; none beyond kMaxPeers of them.
  std::optional<std::string> refuse(Why why, const std::string& ip, std::string_view detail, uint64_t now_ns);
  uint64_t count(Why why) const { return counts_[static_cast<size_t>(why)].load(std::memory_order_relaxed); }

  static constexpr size_t kMaxPeers = 1000;
  static constexpr uint64_t kQuietNs = 60'000'000'000;

 private:
  struct Told {
    uint64_t at_ns = 0;
    uint64_t since = 0;  ///< refused and not told since
  };
  std::array<std::atomic<uint64_t>, kNames.size()> counts_{};
  std::mutex mutex_;
  std::unordered_map<std::string, Told> told_;  ///< by address
};

}  // namespace smtpscope
