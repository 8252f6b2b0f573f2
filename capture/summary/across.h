// What shows only across the sessions of one network: retries and duplicates. Sessions stand in order of time.
#pragma once

#include <functional>
#include <vector>

#include "capture/summary/summary.h"

namespace smtpscope {

using Digests = std::vector<const SessionDigest*>;

/// Calls on_retry for each recipient that was put off, with what became of it up to the window's end. Envelopes are the
/// same if sender and recipient are, whatever their case.
void find_retries(const Digests& sessions, const Summarizer::WindowEnd& window_end,
                  const std::function<void(Retry&&)>& on_retry);

/// Calls on_duplicate for each message that was sent again after its final reply was lost: the same sender, a recipient
/// in common, and the same body (by its hash; without one the same recipients and size).
void find_duplicates(const Digests& sessions, const std::function<void(Duplicate&&)>& on_duplicate);

}  // namespace smtpscope
