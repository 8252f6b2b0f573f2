// The changes to the kernel, as commands in their order, and their undoing. Pure: from the record alone, so that what
// was recorded can always be undone.
#pragma once

#include <string>
#include <vector>

#include "proxy/divert/command_runner.h"
#include "proxy/divert/host_facts.h"
#include "proxy/divert/intent.h"
#include "proxy/divert/state.h"

namespace smtpscope {

/// What the commands start from.
struct HostNow {
  HostFacts facts;
  std::vector<std::string> settings;  ///< the value of each of DivertState::settings; empty: it is not there any more
};

/// The kernel's settings first, then the way of marked packets, and last what marks them. What is there already is left
/// out, and what a record of before has too much is taken away.
std::vector<Command> divert_commands(const DivertIntent& intent, const DivertState& state, const HostNow& now,
                                     const std::string& bridge_mac);

/// The other way round. A setting that somebody else has changed since is left as it is.
std::vector<Command> undo_commands(const DivertState& state, const HostNow& now);

/// What is there once divert_commands() have been run.
HostNow when_diverted(const DivertState& state, HostNow now);

Command set_setting(const ChangedSetting& setting, const std::string& value);
Command nft(std::string ruleset);

}  // namespace smtpscope
