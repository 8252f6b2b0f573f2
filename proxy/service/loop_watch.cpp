#include "proxy/service/loop_watch.h"

#include <fmt/format.h>

namespace smtpscope {

LoopWatch::LoopWatch(std::vector<const Pulse*> pulses) {
  for (const Pulse* pulse : pulses) loops_.push_back({pulse});
}

bool LoopWatch::turn() {
  bool all = true;
  for (Loop& loop : loops_) {
    const uint64_t beats = loop.pulse->beats();
    const bool ended = loop.pulse->ended();
    loop.silent = beats != loop.seen || ended ? 0 : loop.silent + 1;
    loop.seen = beats;
    all = all && (ended || beats != loop.told);
  }
  if (all)
    for (Loop& loop : loops_) loop.told = loop.seen;
  return all;
}

std::string LoopWatch::trouble() const {
  for (size_t i = 0; i < loops_.size(); ++i)
    if (const uint64_t silent_ms = loops_[i].silent * Pulse::kEveryMs; silent_ms >= kHungMs)
      return fmt::format("worker {} has not run for {:.1f} s", i, static_cast<double>(silent_ms) / 1000);
  return {};
}

}  // namespace smtpscope
