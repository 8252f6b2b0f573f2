// `smtpscope config`: check FILE | show [--effective] | schema. Results on stdout, messages on stderr.
#pragma once

#include <string>

#include "proxy/commands/commands.h"

namespace smtpscope {

/// Loads the file and judges it as `run` would. "FILE: ok" on stdout, or every fault on stderr and ExitCode::config.
/// Senders that match nothing yet are warned of on stderr. An empty path: the configuration that find_config finds.
ExitCode config_check(const std::string& path);

/// The configuration file as it is, or, effective, every option with its value as JSON; defaults where there is no
/// file.
ExitCode config_show(const std::string& path, bool effective);

/// The JSON Schema of the file, or the reference page.
ExitCode config_schema(bool markdown);
/// Of the running proxy that this configuration or store leads to.
ExitCode config_reload(const std::string& config, const std::string& store);

}  // namespace smtpscope
