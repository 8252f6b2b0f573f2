#include "proxy/windows/other_runs.h"

#include <algorithm>

#include "capture/store/instance.h"
#include "proxy/clock.h"

namespace smtpscope {
namespace {

constexpr int64_t kNoticedUs = 1'000'000;  // so long after a window's end whoever lives has seen it and kept its count

}  // namespace

OtherRuns other_runs(const std::string& store, const StoredWindow& window, const std::string& own) {
  OtherRuns others;
  others.alive = another_instance_lives(store, own);
  for (const StoredWindow::Run& run : window.runs) {
    if (run.instance == own) continue;
    others.tally.add(run.tally);
    const bool alive = others.alive && instance_alive(store, run.instance);
    const uint64_t going = alive ? run.tally.sessions - std::min(run.tally.sessions, run.tally.ended()) : 0;
    others.in_progress += going;
    others.settled += run.tally.sessions - going;
  }
  return others;
}

LastWord take_last_word(const std::string& store, const std::string& folder, const std::string& own, bool patient,
                        bool last) {
  LastWord word{LastWord::Whose::mine, read_debug_window(folder)};
  if (word.window) {
    const OtherRuns others = other_runs(store, *word.window, own);
    const bool early = patient && others.alive && unix_us() < word.window->ended_us + kNoticedUs;
    if (others.in_progress > 0 || (early && !last))
      word.whose = last ? LastWord::Whose::others : LastWord::Whose::later;
  }
  if (word.whose == LastWord::Whose::mine && !claim_telling(folder)) word.whose = LastWord::Whose::others;
  return word;
}

}  // namespace smtpscope
