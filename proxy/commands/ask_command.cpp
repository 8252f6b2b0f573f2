#include "proxy/commands/ask_command.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "capture/transcript/harmless.h"
#include "config/loader.h"
#include "proxy/commands/locate.h"

namespace smtpscope {
namespace {

Result<ControlPlace> find_place(const std::string& config_option, const std::string& store_option) {
  if (!store_option.empty()) return ControlPlace{store_option, {}};
  const auto path = find_config(config_option);
  if (!path) return ControlPlace{Settings().store.path, {}};
  auto settings = load_settings_file(*path);
  if (!settings) return Error{settings.error()};
  return ControlPlace{std::move(settings->store.path), std::move(settings->control)};
}

}  // namespace

ProxyAnswer ask_running_proxy(const std::string& config_option, const std::string& store_option,
                              const std::string& method, const std::string& path, const std::string& body) {
  const auto place = find_place(config_option, store_option);
  if (!place) {
    fmt::print(stderr, "{}\n", place.error());
    return {ExitCode::config, 0, {}};
  }
  auto answer = ask_proxy(*place, method, path, body);
  if (answer) return {ExitCode::ok, answer->status, std::move(answer->body)};
  fmt::print(stderr, "smtpscope: {}\n", harmless(answer.error()));
  return {ExitCode::proxy_unreachable, 0, {}};
}

ExitCode refused(const ProxyAnswer& answer, ExitCode code) {
  const auto told = nlohmann::json::parse(answer.body, nullptr, false);
  const std::string why = told.is_object() && told.contains("error") && told["error"].is_string()
                              ? told["error"].get<std::string>()
                              : fmt::format("the proxy answers {}: {}", answer.status, answer.body.substr(0, 200));
  fmt::print(stderr, "smtpscope: {}\n", harmless(why));
  return code;
}

}  // namespace smtpscope
