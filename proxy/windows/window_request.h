// What is asked for with `smtpscope window open` and POST /windows, in the keys of the configuration:
//
//   {"senders": ["203.0.113.0/24"], "exclude": [], "sessions": 20, "for": "30m", "reason": "partner cannot send"}
//
// Pure. Any bytes may be passed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace smtpscope {

inline constexpr uint64_t kWindowMs = 30 * 60 * 1000;  ///< unless something else is asked for
inline constexpr size_t kMostWindowEntries = 1000;     ///< of senders, and of exclude
inline constexpr size_t kMostReasonBytes = 500;

struct WindowRequest {
  std::vector<std::string> senders, exclude;  ///< as sender_spec.h describes them
  uint64_t sessions = 0;                      ///< it ends after so many; 0: no limit
  uint64_t for_ms = kWindowMs;                ///< and after so long; 0: no limit
  std::string reason;
  bool operator==(const WindowRequest&) const = default;
};

/// What is wrong with it: no senders, an entry that is none, too much of something.
std::optional<Error> fault_of(const WindowRequest& request);

/// The error is a line a fault, "LINE:COL: /senders/0: ...".
Result<WindowRequest> read_window_request(std::string_view json);
std::string window_request_json(const WindowRequest& request);

}  // namespace smtpscope
