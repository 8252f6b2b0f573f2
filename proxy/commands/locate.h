// Where the configuration and the store are, for commands that take --config FILE or --store DIR.
#pragma once

#include <optional>
#include <string>

#include "config/result.h"

namespace CLI {
class App;
}

namespace smtpscope {

inline constexpr const char* kDefaultConfigs[] = {"./smtpscope.jsonc", "/etc/smtpscope/smtpscope.jsonc"};

/// --config if it was given (`option` not empty), else SMTPSCOPE_CONFIG, else the first of kDefaultConfigs that exists.
/// What was named is returned whether or not it exists: that it cannot be read is for the loader to say.
std::optional<std::string> find_config(const std::string& option);

/// --store if it was given, else "store.path" of the configuration that find_config finds, else that option's default.
/// The error is the configuration's (exit code 78).
Result<std::string> find_store(const std::string& config_option, const std::string& store_option);

/// Adds --config and --store, the two ways to name a store; find_store() decides between them.
void add_store_options(CLI::App& command, std::string& config, std::string& store);

}  // namespace smtpscope
