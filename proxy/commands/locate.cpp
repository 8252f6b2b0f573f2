#include "proxy/commands/locate.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

#include "config/loader.h"

namespace smtpscope {

std::optional<std::string> find_config(const std::string& option) {
  if (!option.empty()) return option;
  if (const char* named = std::getenv("SMTPSCOPE_CONFIG"); named && *named) return named;
  for (const char* path : kDefaultConfigs) {
    std::error_code error;
    // A file that is there but out of reach counts: better an error than to run as if there were none.
    const auto status = std::filesystem::status(path, error);
    if (status.type() != std::filesystem::file_type::not_found) return path;
  }
  return std::nullopt;
}

Result<std::string> find_store(const std::string& config_option, const std::string& store_option) {
  if (!store_option.empty()) return store_option;
  const auto path = find_config(config_option);
  if (!path) return Settings().store.path;
  const auto settings = load_settings_file(*path);
  if (!settings) return Error{settings.error()};
  return settings->store.path;
}

void add_store_options(CLI::App& command, std::string& config, std::string& store) {
  command.add_option("--store", store,
                     "Folder of the store; default: that of the configuration, else /var/lib/smtpscope");
  command.add_option("--config", config, "Configuration file that names the store");
}

}  // namespace smtpscope
