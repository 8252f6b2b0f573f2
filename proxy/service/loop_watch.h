// Do all loops live? Asked by the main loop in a timer of its own, every Pulse::kEveryMs. Silence is counted in these
// turns and not by the clock: on a host that starves all of us, or was suspended, the one who judges does not come to
// its turns either, and nobody is called hung for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/relay/pulse.h"

namespace smtpscope {

class LoopWatch {
 public:
  /// From so much silence on a loop is called hung.
  static constexpr uint64_t kHungMs = 3000;

  /// Of each worker's loop, in their order; they outlive this.
  explicit LoopWatch(std::vector<const Pulse*> pulses);

  /// One more turn. True if every loop that goes on has beaten at least once since it was true last: only then does the
  /// process as a whole give a sign of life, so that one hung loop is a hung process to whoever watches it.
  bool turn();
  /// "worker 1 has not run for 3.2 s" of the first that hangs; empty if none does.
  std::string trouble() const;

 private:
  struct Loop {
    const Pulse* pulse;
    uint64_t seen = 0;    ///< beats at the last turn
    uint64_t told = 0;    ///< beats when turn() was true last
    uint64_t silent = 0;  ///< turns
  };
  std::vector<Loop> loops_;
};

}  // namespace smtpscope
