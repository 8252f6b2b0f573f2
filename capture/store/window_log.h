// When the proxy was listening and for whom it recorded: <store>/windows.log, a line of JSON at the begin and at the
// end of each run, and of each window that was opened while it ran. Only with it can a reader say that a sender did not
// come, rather than that nothing was there to see it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace smtpscope {

struct RecordingWindow {
  std::string instance;
  std::vector<std::string> listen;            ///< "0.0.0.0:25"
  std::vector<std::string> senders, exclude;  ///< the filter's entries, as configured
  uint64_t sessions = 0;                      ///< recording ends after so many; 0: no limit
  uint64_t for_ms = 0;                        ///< or after so long; 0: no limit
  int64_t from_us = 0;                        ///< Unix time
  int64_t to_us = 0;                          ///< up to when it certainly recorded; see read_windows()
  std::string window{};                       ///< that was opened, "3"; empty: the configuration's own
};

/// Tells that `window.instance` listens and records from `window.from_us` on.
std::error_code log_window_begin(std::string_view store, const RecordingWindow& window) noexcept;
/// `window` as it began. One that was opened is told to have ended when it did, whatever ended it.
std::error_code log_window_end(std::string_view store, std::string_view instance, int64_t at_us,
                               std::string_view window = {}) noexcept;

/// All windows, in the order in which they began. `to_us` is the end that was told, `now_us` while the process lives,
/// and never behind the limit of time. A window is empty (to_us == from_us) where nothing proves more: the process died
/// without a word, or a limit of sessions may have ended it at any time (of the configuration's window the end by such
/// a limit is not told).
std::vector<RecordingWindow> read_windows(std::string_view store, int64_t now_us);

}  // namespace smtpscope
