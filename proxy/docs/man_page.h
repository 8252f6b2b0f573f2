// The man pages, as roff with the man macros.
#pragma once

#include <string>

#include "proxy/docs/command_line.h"

namespace smtpscope {

/// smtpscope(1): every command with its options.
std::string man_page(const CommandLine& line);
/// smtpscope.jsonc(5): every option of the configuration file, from the table in config/options.
std::string config_man_page();

/// Text as roff prints it, whatever is in it: `command` and "text" stay as they are, hyphens that are typed stay
/// hyphens.
std::string roff(std::string_view text);

}  // namespace smtpscope
