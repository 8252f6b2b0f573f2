// Completion scripts for shells.
#pragma once

#include <string>

#include "proxy/docs/command_line.h"

namespace smtpscope {

std::string bash_completion(const CommandLine& line);
std::string zsh_completion(const CommandLine& line);
std::string fish_completion(const CommandLine& line);

}  // namespace smtpscope
