// What other runs of the proxy have to do with a window: those before this one, and one that lives beside it, as during
// an upgrade. Found in the store; waits for the disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "capture/store/debug_windows.h"

namespace smtpscope {

struct OtherRuns {
  bool alive = false;        ///< another process uses this store now
  uint64_t in_progress = 0;  ///< sessions of the window that go on there
  WindowTally tally{};       ///< of all of them
  uint64_t settled = 0;      ///< sessions of them that are over, or that a crash has cut off
};
/// `own`: the instance of this run; empty for a command.
OtherRuns other_runs(const std::string& store, const StoredWindow& window, const std::string& own);

/// Who is to tell what came of a window that is over: whoever has its last session, once.
struct LastWord {
  enum class Whose : uint8_t { mine, others, later };
  Whose whose = Whose::mine;
  std::optional<StoredWindow> window{};  ///< as the store has it
};
/// `later`: it cannot be said yet; not where this is the `last` chance of this process. `patient`: another process may
/// not have seen yet that the window is over.
LastWord take_last_word(const std::string& store, const std::string& folder, const std::string& own, bool patient,
                        bool last);

}  // namespace smtpscope
