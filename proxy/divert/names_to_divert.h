// What DNS says of the names among senders whom the kernel is to divert, for commands.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/resolved_names.h"
#include "config/settings.h"
#include "proxy/divert/intent.h"

namespace smtpscope {

/// Of the configuration's senders and of those of windows. Waits for at most 20 s; what is not known is told to `say`.
ResolvedNames names_to_divert(const Settings& settings, const std::vector<DivertWindow>& windows,
                              const std::function<void(const std::string&)>& say);

}  // namespace smtpscope
