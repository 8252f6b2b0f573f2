// Our rulesets as a person writes them: what ruleset.h makes for `nft -j -f -`, in the syntax of `nft -f -`. Pure.
#pragma once

#include <string>

#include "proxy/divert/command_runner.h"

namespace smtpscope {

/// `ruleset`: of ruleset.h, nothing else. Both do the same to the kernel.
std::string nft_text(const std::string& ruleset);

/// A command to be shown: of `nft -j -f -` the readable one that does the same; all others as they are.
Command readable(Command command);

}  // namespace smtpscope
