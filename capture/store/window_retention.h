// Debug windows that are over stay in the store for `window list --all`, but not for ever: the newest of them do.
#pragma once

#include <cstddef>
#include <string_view>

namespace smtpscope {

inline constexpr size_t kMostEndedWindows = 1000;

/// Where more than `most` windows have ended, takes those away that ended first, a tenth more than it must, so that it
/// seldom has to look at them all. One of which a living process still has sessions stays; so does the one with the
/// highest number, since the next one is numbered behind it. Gives back how many are gone.
size_t retire_windows(std::string_view store, size_t most = kMostEndedWindows);

}  // namespace smtpscope
