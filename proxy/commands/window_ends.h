// Up to when the store would show a session of a sender. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "capture/store/window_log.h"
#include "config/sender_filter.h"

namespace smtpscope {

class WindowEnds {
 public:
  /// `newest_us`: the end of the newest session in the store; `limit_us`: what was asked for ends there.
  WindowEnds(const std::vector<RecordingWindow>& windows, int64_t newest_us, int64_t limit_us);

  /// The end of the last window that recorded this address. One whose end is not proven reaches to the newest session
  /// if it is the last of all of its name, else nowhere. Without any window: the newest session.
  int64_t of(const std::string& ip) const;

 private:
  struct End {
    SenderFilter filter;
    int64_t at_us;
  };
  std::vector<End> ends_;
  int64_t unknown_us_;  ///< where no window is known
  int64_t limit_us_;
};

}  // namespace smtpscope
