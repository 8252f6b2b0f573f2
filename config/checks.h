// What can be wrong with settings that each for itself are right: what is missing, what contradicts, and what this
// version cannot do yet. For `run` (after its flags are in) and for `config check`.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"

namespace smtpscope {

/// About one option of the configuration.
struct SettingsIssue {
  std::string pointer;  ///< RFC 6901, as in "/capture/senders/3"
  std::string message;
  bool operator==(const SettingsIssue&) const = default;
};

/// Why a proxy cannot run with these settings: no listener, no gateway, the same address twice, a circle.
std::vector<SettingsIssue> contradictions(const Settings& settings);

/// What is asked for and "is not available in this version yet".
std::vector<SettingsIssue> unavailable(const Settings& settings);
/// What can be run but may not mean what it says: networks with bits of a host in them. Warnings.
std::vector<SettingsIssue> doubtful(const Settings& settings);

/// Where connections are diverted: entries that cannot be put into the kernel's set by address. A warning, no error.
std::vector<SettingsIssue> undivertable_senders(const Settings& settings);

}  // namespace smtpscope
