#include "proxy/commands/window_ends.h"

#include <algorithm>
#include <utility>

#include "config/ip.h"

namespace smtpscope {

WindowEnds::WindowEnds(const std::vector<RecordingWindow>& windows, int64_t newest_us, int64_t limit_us)
    : unknown_us_(windows.empty() ? newest_us : 0), limit_us_(limit_us) {
  for (size_t i = 0; i < windows.size(); ++i) {
    const RecordingWindow& w = windows[i];
    Result<SenderFilter> filter = SenderFilter::build(w.senders, w.exclude);
    const bool proven = w.to_us > w.from_us;
    if (!filter) continue;
    const bool last = std::none_of(windows.begin() + static_cast<ptrdiff_t>(i) + 1, windows.end(),
                                   [&](const RecordingWindow& later) { return later.window == w.window; });
    const int64_t least = last ? std::max(newest_us, w.from_us) : w.from_us;
    ends_.push_back({std::move(*filter), proven ? w.to_us : least});
  }
}

int64_t WindowEnds::of(const std::string& ip) const {
  int64_t end = unknown_us_;
  if (const auto address = IpAddress::parse(ip))
    for (const End& e : ends_)
      if (e.at_us > end && e.filter.match(*address)) end = e.at_us;
  return std::min(end, limit_us_);
}

}  // namespace smtpscope
