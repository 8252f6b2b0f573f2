// smtpscope window: open, list, close; the debug windows of a running proxy.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "capture/store/window_log.h"
#include "config/units.h"
#include "proxy/clock.h"
#include "proxy/commands/ask_command.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/locate.h"
#include "proxy/commands/window_divert.h"
#include "proxy/windows/other_runs.h"
#include "proxy/windows/window_request.h"
#include "proxy/windows/window_view.h"

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

struct WindowArguments {
  std::string config, store, sessions, window, id;
  WindowRequest request;
  bool all = false, as_json = false;
};

bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

std::string shown(const WindowArguments& a, const json& window) {
  return a.as_json ? window.dump(-1, ' ', false, json::error_handler_t::replace) + "\n" : window_text(window);
}

/// Prints what the proxy answered. What answered may be something else than smtpscope.
template <class Print>
ExitCode answered(const ProxyAnswer& answer, Print print_it) {
  try {
    return print_it(json::parse(answer.body)) ? ExitCode::ok : ExitCode::failed;
  } catch (const json::exception&) {
    fmt::print(stderr, "smtpscope: what answers makes no sense: is it a smtpscope of another version?\n");
    return ExitCode::failed;
  }
}

ExitCode code_of(int status) {
  return status == 404                                     ? ExitCode::no_match
         : status == 400 || status == 413 || status == 422 ? ExitCode::usage
                                                           : ExitCode::failed;
}

ExitCode open(const WindowArguments& a) {
  WindowRequest request = a.request;
  if (!a.window.empty()) {
    const auto ms = parse_duration_limit_ms(a.window);
    if (!ms) throw CLI::ValidationError("--for", ms.error());
    request.for_ms = *ms;
  }
  if (!a.sessions.empty() && a.sessions != kUnlimited) {
    request.sessions = std::strtoull(a.sessions.c_str(), nullptr, 10);
    if (request.sessions == 0 || a.sessions.find_first_not_of("0123456789") != std::string::npos ||
        a.sessions.size() > 18)
      throw CLI::ValidationError("--sessions",
                                 smtpscope::quoted(std::string_view(a.sessions)) + " is no whole number from 1");
  }
  if (const auto error = fault_of(request)) throw CLI::ValidationError("window open", error->message);
  const ProxyAnswer answer = ask_running_proxy(a.config, a.store, "POST", "/windows", window_request_json(request));
  if (answer.code != ExitCode::ok) return answer.code;
  if (answer.status != 201) return refused(answer, code_of(answer.status));
  divert_follows_windows(a.config, a.store);
  return answered(answer, [&](const json& window) { return print(shown(a, window)); });
}

/// Those of the store that no living proxy has open.
std::string stored(const WindowArguments& a, const std::set<std::string>& open) {
  const Result<std::string> store = find_store(a.config, a.store);
  if (!store) return {};
  const int64_t now = unix_us();
  const auto log = read_windows(*store, now);
  std::string text;
  for (StoredWindow& window : read_debug_windows(*store)) {
    if (window.ended_by.empty() && open.contains(window.window.id)) continue;  // the proxy's word holds until it ends
    window.settle(now);
    const std::string hint = *store == Settings().store.path ? "" : *store;
    text += shown(a, window_json({window, now, other_runs(*store, window, {}).in_progress, false,
                                  listened_spans(log, window, now), hint}));
  }
  return text;
}

ExitCode list(const WindowArguments& a) {
  const ProxyAnswer answer = ask_running_proxy(a.config, a.store, "GET", "/windows");
  if (answer.code != ExitCode::ok) {
    if (a.all && answer.code == ExitCode::proxy_unreachable) print(stored(a, {}));
    return answer.code;
  }
  if (answer.status != 200) return refused(answer, code_of(answer.status));
  return answered(answer, [&](const json& told) {
    std::string open;
    std::set<std::string> ids;
    for (const json& window : told.at("windows")) {
      open += shown(a, window);
      ids.insert(window.at("id").get<std::string>());
    }
    if (ids.empty()) fmt::print(stderr, "smtpscope: no window is open\n");
    return print((a.all ? stored(a, ids) : "") + open);
  });
}

/// The only window that is open; empty: there is none, or it is not clear which.
std::string only_window(const WindowArguments& a, ExitCode& code) {
  const ProxyAnswer answer = ask_running_proxy(a.config, a.store, "GET", "/windows");
  code = answer.code;
  if (code != ExitCode::ok) return {};
  std::vector<std::string> ids;
  code = answered(answer, [&](const json& told) {
    for (const json& window : told.at("windows")) ids.push_back(window.at("id").get<std::string>());
    return true;
  });
  if (code != ExitCode::ok || ids.size() == 1) return ids.empty() ? "" : ids.front();
  code = ids.empty() ? ExitCode::no_match : ExitCode::usage;
  if (ids.empty())
    fmt::print(stderr, "smtpscope: no window is open\n");
  else
    fmt::print(stderr, "smtpscope: {} windows are open; say which one to close: {}\n", ids.size(),
               fmt::join(ids, ", "));
  return {};
}

ExitCode close(const WindowArguments& a) {
  ExitCode code = ExitCode::ok;
  const std::string id = a.id.empty() ? only_window(a, code) : a.id;
  if (id.empty()) return code;
  const bool plain = std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
  if (!plain || id.size() > 100) {
    fmt::print(stderr, "smtpscope: there is no window {}; `smtpscope window list` shows those that are open\n",
               smtpscope::quoted(std::string_view(id)));
    return ExitCode::no_match;
  }
  const ProxyAnswer answer = ask_running_proxy(a.config, a.store, "DELETE", "/windows/" + id);
  if (answer.code != ExitCode::ok) return answer.code;
  if (answer.status != 200) return refused(answer, code_of(answer.status));
  divert_follows_windows(a.config, a.store);
  return answered(answer, [&](const json& window) { return print(shown(a, window)); });
}

}  // namespace

void register_window(CLI::App& app, ExitCode& exit_code) {
  const auto a = std::make_shared<WindowArguments>();
  CLI::App* window =
      app.add_subcommand("window", "Debug windows of the running proxy: whose sessions it records, until when");
  window->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, ExitCode (*run)(const WindowArguments&)) {
    CLI::App* command = window->add_subcommand(name, help);
    add_store_options(*command, a->config, a->store);
    command->add_flag("--json", a->as_json, "One JSON object a window (docs/WINDOWS.md)");
    command->callback([a, &exit_code, run] { exit_code = run(*a); });
    return command;
  };
  CLI::App* opening = add("open", "Record the sessions of these senders from now on, for a while", open);
  opening
      ->add_option("--sender", a->request.senders,
                   "Whose: address, CIDR, range, name, or any; may be given more than once")
      ->required();
  opening->add_option("--exclude", a->request.exclude, "Whose not, even if --sender names them");
  opening->add_option("--sessions", a->sessions, "It ends after so many sessions; default: any number");
  opening->add_option("--for", a->window, "It ends after so long (30m), or unlimited");
  opening->add_option("--reason", a->request.reason, "A word on why, for those who read of it later");
  CLI::App* listing = add("list", "Those that are open", list);
  listing->add_flag("--all", a->all, "Those of the store that have ended too, with what came of them");
  CLI::App* closing = add("close", "End one now; mail goes on, unrecorded", close);
  closing->add_option("ID", a->id, "As list shows it; default: the only one that is open");
}

}  // namespace smtpscope
