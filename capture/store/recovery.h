// What a start does for instances that crashed: cuts torn tails of their files and writes the transcripts that their
// sessions are missing. Run before listening. May itself be killed at any moment and run again: a session whose
// transcript stands whole in the day's file gets no second one, and an instance counts as recovered only when all of it
// is on disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace smtpscope {

struct RecoveryReport {
  uint64_t instances = 0;             ///< that crashed
  uint64_t files = 0;                 ///< recordings looked at
  uint64_t transcripts = 0;           ///< written
  uint64_t interrupted = 0;           ///< of them: sessions that were open at the crash
  uint64_t cut_bytes = 0;             ///< of torn tails
  std::vector<std::string> problems;  ///< what could not be done, each for a person; the next start tries again

  bool nothing_to_do() const { return instances == 0; }
};

/// `own` is the id of the calling process's instance, which is left alone (empty: it has none yet). Tails are cut only
/// while no other process uses the store. Never throws but std::bad_alloc; never waits for another process.
RecoveryReport recover(std::string_view store, std::string_view own);

}  // namespace smtpscope
