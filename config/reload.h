// What a running proxy can take over from new settings, and what it cannot without being started anew.
#pragma once

#include <vector>

#include "config/checks.h"
#include "config/settings.h"

namespace smtpscope {

struct ReloadPlan {
  Settings settings;  ///< the wanted ones, with what cannot change as it is running; listeners in its order
  std::vector<SettingsIssue> kept;  ///< what was wanted otherwise and stays as it is
};

/// Listeners' addresses and modes, workers, the user, the store's path and the control address with its token cannot
/// change while it runs; all else can.
ReloadPlan plan_reload(const Settings& running, const Settings& wanted);

/// Do both ask for the same window of recording: whose sessions, how many, for how long?
bool same_window(const CaptureSettings& a, const CaptureSettings& b);

}  // namespace smtpscope
