// What can be said of a sender that was asked for and has no session: that it is elsewhere in the store, that it did
// not come while the proxy was looking, or that nothing shows whether the proxy was. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "capture/store/window_log.h"
#include "config/sender_spec.h"

namespace smtpscope {

struct AbsentSender {
  std::string sender;                                ///< as it was asked for
  std::string text;                                  ///< for a person
  std::string next;                                  ///< what to check; empty: nothing
  uint64_t stored = 0;                               ///< sessions of it that other filters leave out
  std::vector<std::pair<int64_t, int64_t>> watched;  ///< when it would have been recorded, Unix time in microseconds
};

/// What other filters leave out of a sender.
struct StoredElsewhere {
  uint64_t sessions = 0;
  std::string newest_id, newest_started;
};

/// `since_us` to `until_us`: the time that was asked for; `now_us` bounds it.
AbsentSender absent_sender(const std::string& asked, const SenderSpec& spec, const StoredElsewhere& stored,
                           const std::vector<RecordingWindow>& windows, int64_t since_us, int64_t until_us,
                           int64_t now_us);

std::string absent_json(const AbsentSender& absent);

}  // namespace smtpscope
