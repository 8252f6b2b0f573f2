// The debug windows that bear on a diversion: who is to be diverted, as those are recorded, and for how long.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "proxy/divert/intent.h"

namespace smtpscope {

struct OpenWindows {
  bool told = false;                                        ///< by the running proxy; else as its store has them
  std::vector<DivertWindow> opened;                         ///< besides the configuration's own
  bool config = true;                                       ///< that one is open; not told: taken to be
  uint64_t config_left_s = 0;                               ///< told: of its time; 0: it has no end
  std::vector<std::string> config_senders, config_exclude;  ///< told
  std::string untold;                                       ///< why not told
  std::vector<std::string> ids;                             ///< told: of all

  bool none() const { return told && !config && opened.empty(); }
};

/// What the proxy answers to GET /windows; none if it makes no sense.
std::optional<OpenWindows> told_windows(const std::string& body);
OpenWindows stored_windows(const std::string& store);
/// As the running proxy of this store tells them, which is waited for kShortPatience; where none answers, as its store
/// has them.
OpenWindows windows_now(const Settings& settings);

/// "the last, config, ended at ...: it was closed"; empty if the store knows of none.
std::string last_ended_window(const std::string& store);

/// plan_divert() of all whom these windows record.
DivertPlanning plan_with_windows(Settings settings, const ResolvedNames& names, const OpenWindows& windows);

}  // namespace smtpscope
