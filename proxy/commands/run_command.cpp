// `smtpscope run`: the proxy in the foreground, until SIGTERM or SIGINT; SIGHUP loads the configuration anew, SIGUSR2
// hands over to a new process (an upgrade).
#include <fmt/format.h>
#include <malloc.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "config/checks.h"
#include "config/loader.h"
#include "config/reload.h"
#include "config/settings.h"
#include "config/units.h"
#include "proxy/commands/captured_senders.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/locate.h"
#include "proxy/commands/supervisor.h"
#include "proxy/control/control.h"
#include "proxy/control/control_client.h"
#include "proxy/control/control_plane.h"
#include "proxy/divert/sender_follower.h"
#include "proxy/doctor/view_check.h"
#include "proxy/relay/log.h"
#include "proxy/relay/proxy.h"
#include "proxy/service/handover.h"
#include "proxy/service/invocation.h"
#include "proxy/service/notify.h"
#include "proxy/service/privileges.h"
#include "proxy/service/watchdog.h"
#include "proxy/windows/shared_counts.h"
#include "proxy/windows/window_keeper.h"

namespace smtpscope {
namespace {

struct Arguments {
  std::vector<std::string> listen, senders;
  std::string config, gateway, store, window, body, body_limit, connect_timeout, drain, user;
  uint64_t sessions = 0;
  uint32_t workers = 0;
  bool watchdog = false, no_view_check = false;
};

/// A usage error that names the option.
[[noreturn]] void refuse(const std::string& option, const std::string& why) { throw CLI::ValidationError(option, why); }

template <class T>
T value(const std::string& option, Result<T> parsed) {
  if (!parsed) refuse(option, parsed.error());
  return *parsed;
}

/// The configuration file, if there is one, with the flags over it.
Result<Settings> settings_of(const Arguments& a) {
  Settings settings;
  if (const auto file = find_config(a.config)) {
    Result<Settings> loaded = load_settings_file(*file);
    if (!loaded) return Error{loaded.error()};
    settings = std::move(*loaded);
  }
  if (!a.listen.empty()) settings.listeners.clear();
  for (const std::string& listen : a.listen)
    settings.listeners.push_back({value("--listen", parse_host_port(listen)), Accept::direct, {}});
  if (!a.gateway.empty()) settings.gateway.address = value("--gateway", parse_host_port(a.gateway));
  if (!a.store.empty()) settings.store.path = a.store;
  if (a.senders == std::vector<std::string>{"none"})
    settings.capture.senders.clear();
  else if (!a.senders.empty())
    settings.capture.senders = a.senders;
  if (a.sessions > 0) settings.capture.sessions = a.sessions;
  if (!a.window.empty()) settings.capture.for_ms = value("--for", parse_duration_limit_ms(a.window));
  if (!a.connect_timeout.empty())
    settings.gateway.connect_timeout_ms = value("--connect-timeout", parse_duration_limit_ms(a.connect_timeout));
  if (!a.drain.empty()) settings.drain_ms = value("--drain", parse_duration_ms(a.drain));
  if (!a.user.empty()) settings.user = a.user;
  if (a.body == "full") settings.capture.body = BodyPolicy::full;
  if (a.body == "headers") settings.capture.body = BodyPolicy::headers;
  if (a.body == "none") settings.capture.body = BodyPolicy::none;
  if (!a.body_limit.empty()) settings.capture.body_limit = value("--body-limit", parse_size(a.body_limit));
  if (a.workers > 0) settings.workers = a.workers;
  if (a.no_view_check) settings.gateway.view_check = false;
  return settings;
}

/// What keeps these settings from being run.
std::vector<SettingsIssue> faults_of(const Settings& settings) {
  std::vector<SettingsIssue> faults = contradictions(settings);
  for (SettingsIssue& issue : unavailable(settings)) faults.push_back(std::move(issue));
  return faults;
}

/// Says on stderr what keeps these settings from being run; true if something does.
bool refused(const Settings& settings) {
  const std::vector<SettingsIssue> faults = faults_of(settings);
  for (const SettingsIssue& issue : faults) fmt::print(stderr, "smtpscope: {}: {}\n", issue.pointer, issue.message);
  if (!faults.empty() && (settings.listeners.empty() || settings.gateway.address.host.empty()))
    fmt::print(stderr, "smtpscope: on the command line: --listen 0.0.0.0:25 --gateway 10.0.0.1:25\n");
  return !faults.empty();
}

/// What these settings ask for and only a process that is started anew may do.
std::vector<SettingsIssue> forbidden(const Settings& running, const Settings& wanted) {
  const std::string missing = missing_privilege(wanted);
  if (missing.empty() || !missing_privilege(running).empty()) return {};
  return {{"/gateway/present", fmt::format("\"sender\" needs {}, which this process gave up when it started without "
                                           "the need of it; start it anew",
                                           missing)}};
}

/// Takes the settings in whole, or not at all and says why, with line and column: in the log and in what it gives back.
ReloadOutcome reload(Proxy& proxy, CapturedSenders& senders, const Arguments& arguments) {
  std::string text, file;
  if (const auto found = find_config(arguments.config)) {
    file = *found;
    if (const Result<std::string> read = read_settings_text(file)) text = *read;
  } else {
    const std::string none =
        "there is no configuration file to load: the proxy runs with the options of its command line (--config FILE "
        "names "
        "one)";
    RelayMetrics::add(proxy.metrics().reloads_refused);
    spdlog::warn("{}", none);
    return {false, {none}};
  }
  const auto placed = [&](const SettingsIssue& issue) {
    return text.empty() ? issue.pointer + ": " + issue.message
                        : locate_message(text, file, issue.pointer, issue.message);
  };
  std::vector<std::string> faults;
  try {
    const Result<Settings> settings = settings_of(arguments);
    if (!settings) throw std::runtime_error(settings.error());
    std::vector<SettingsIssue> issues = faults_of(*settings);
    if (issues.empty()) issues = faults_of(plan_reload(proxy.settings(), *settings).settings);
    if (issues.empty()) issues = forbidden(proxy.settings(), *settings);
    for (const SettingsIssue& issue : issues) faults.push_back(placed(issue));
    const auto filter = senders.filter(settings->capture.senders, settings->capture.exclude);
    if (!filter) throw std::runtime_error(filter.error());
    if (faults.empty()) {
      ReloadOutcome outcome{true, {}};
      for (const SettingsIssue& kept : proxy.reload(*settings, *filter)) outcome.messages.push_back(placed(kept));
      for (const std::string& kept : outcome.messages) spdlog::warn("{}", kept);
      senders.follow();
      RelayMetrics::add(proxy.metrics().reloads);
      spdlog::info("configuration loaded anew: it holds for all sessions that begin from now on");
      return outcome;
    }
  } catch (const std::exception& e) {
    faults.emplace_back(e.what());
  }
  RelayMetrics::add(proxy.metrics().reloads_refused);
  for (const std::string& fault : faults) spdlog::error("{}", fault);
  spdlog::error("the configuration was not loaded; the one before stays in force");
  return {false, std::move(faults)};
}

/// What the settings were read from, and whom the gateway is to see by them.
std::string start_text(const std::optional<std::string>& file, const Settings& settings) {
  const auto meant = [&]() -> std::string_view {
    switch (settings.gateway.present) {
      case Present::sender:
        return "\"sender\": the sender's own address";
      case Present::proxy:
        return "\"proxy\": this host's address in place of the sender's";
      case Present::proxy_v1:
        return "\"proxy-v1\": this host's address, the sender's in a PROXY header";
      case Present::proxy_v2:
        return "\"proxy-v2\": this host's address, the sender's in a PROXY header";
    }
    return "";
  };
  return fmt::format("{}; the gateway is to see (present) {}",
                     file ? "configuration file " + *file : std::string("no configuration file, only options"),
                     meant());
}

/// Two processes in charge of one store would take each other's commands and windows. One that drains is not in charge,
/// so that a restart need not wait for it. True if there is one, which is then said.
bool held_by_another(const std::string& store) {
  const std::optional<int> pid = proxy_in_charge(store);
  if (!pid) return false;
  const std::string who = *pid > 0 ? fmt::format("process {}", *pid) : "a process";
  const std::string to = *pid > 0 ? fmt::format(
                                        " (kill {0}, or systemctl stop smtpscope), have a new program take its place "
                                        "without a gap (kill -USR2 {0})",
                                        *pid)
                                  : "";
  fmt::print(stderr,
             "smtpscope: {} is running with the store {} already: stop it first{}, or give this one another store "
             "(store.path, --store)\n",
             who, store, to);
  return true;
}

/// By default the recorder's memory goes back to the system and is asked for again with each batch of sessions: a
/// system call and page faults a session. What a burst leaves is given back when the recorder rests.
void keep_freed_memory() {
  mallopt(M_TRIM_THRESHOLD, 32 << 20);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
}

ExitCode run(const Arguments& arguments) {
  const Invocation invocation = Invocation::of_this_process();
  log_to_stderr();
  std::signal(SIGPIPE, SIG_IGN);
  if (arguments.watchdog && Notifier::from_environment().watchdog_us() == 0)
    return static_cast<ExitCode>(Watchdog(invocation).run());
  keep_freed_memory();
  hold_requests(true);

  const Result<Settings> read = settings_of(arguments);
  if (!read) {
    fmt::print(stderr, "{}\n", read.error());
    return ExitCode::config;
  }
  const Settings& settings = *read;
  if (refused(settings)) return ExitCode::config;
  const bool diverted = std::any_of(settings.listeners.begin(), settings.listeners.end(),
                                    [](const ListenerSettings& each) { return each.accept == Accept::tproxy; });
  std::optional<SenderFollower> follower;
  if (diverted) follower.emplace();
  CapturedSenders senders;
  const auto filter = senders.filter(settings.capture.senders, settings.capture.exclude);
  if (!filter) refuse("--sender", filter.error());
  Succession succession = Succession::from_environment();
  if (!succession.under_way() && held_by_another(settings.store.path)) return ExitCode::failed;
  if (const std::string why = drop_privileges(settings); !why.empty()) {
    fmt::print(stderr, "smtpscope: {}\n", why);
    return ExitCode::config;
  }
  if (const std::string missing = missing_privilege(settings); !missing.empty())
    spdlog::warn("without {} the gateway sees this host's address in place of the sender's; start smtpscope as root",
                 missing);
  Fd listener;
  std::string token;
  if (const auto& at = settings.control.listen) {
    if (const std::string& file = settings.control.token_file; !file.empty()) {
      Result<std::string> read_file = read_token(file);
      if (!read_file) {
        fmt::print(stderr, "smtpscope: /control/token_file: {}\n", read_file.error());
        return ExitCode::config;
      }
      token = std::move(*read_file);
    }
    listener = control_listener(*at, succession.sockets);
  }
  Proxy proxy(settings, *filter, std::exchange(succession.sockets, {}));
  for (size_t i = 0; i < proxy.addresses().size(); ++i)
    spdlog::info("listening on {}, gateway {}, store {}", proxy.addresses()[i],
                 settings.listeners[i].accept == Accept::tproxy ? "as dialled by the sender"
                                                                : format_host_port(settings.gateway.address),
                 settings.store.path);
  for (const SettingsIssue& issue : doubtful(settings)) spdlog::warn("{}: {}", issue.pointer, issue.message);
  spdlog::info("{}", start_text(find_config(arguments.config), settings));
  if (settings.capture.senders.empty())
    spdlog::info("nobody is recorded until a window is opened: smtpscope window open --sender ...");
  SharedCounts counts(std::move(succession.counts));
  WindowKeeper windows(
      proxy, counts, [&](const auto& whom, const auto& but) { return senders.filter(whom, but); },
      [&] { senders.follow(); });
  windows.resume();
  ControlPlane control(
      proxy, windows, [&] { return reload(proxy, senders, arguments); }, std::move(listener), std::move(token));
  const ViewCheck view_check(settings);
  Supervisor supervisor(proxy, control, invocation, counts.descriptor(), std::move(succession));
  supervisor.beside([&](uv_loop_t* loop) { senders.begin(loop, proxy, windows, follower ? &*follower : nullptr); },
                    [&] { senders.end(); });
  const int left = supervisor.run();
  windows.finish();
  return left == 0 ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

void register_run(CLI::App& app, ExitCode& exit_code) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("run", "Stand between senders and a gateway, relay and record");
  command->add_option("--config", a->config, "Configuration file; the other options stand over it");
  command->add_option("--listen", a->listen, "ADDR:PORT to accept senders on; may be given more than once");
  command->add_option("--gateway", a->gateway, "ADDR:PORT of the gateway");
  command->add_option("--store", a->store, "Folder for recordings and transcripts; default: /var/lib/smtpscope");
  command->add_option("--sender", a->senders,
                      "Whose sessions to capture: address, CIDR, range, name, any (the default), or none"
                      " until a window is opened");
  command->add_option("--sessions", a->sessions, "Capture ends after so many sessions; mail goes on")
      ->check([](const std::string& text) -> std::string {
        return text.find_first_not_of("0123456789") == std::string::npos && std::strtoull(text.c_str(), nullptr, 10) > 0
                   ? ""
                   : smtpscope::quoted(std::string_view(text)) + " is no whole number from 1";
      });
  command->add_option("--for", a->window, "Capture ends after so long, as in 30m; mail goes on");
  command->add_option("--workers", a->workers, "Threads, one event loop each")->check(CLI::Range(1, 64));
  command->add_option("--body", a->body, "How much of message bodies is recorded")
      ->check(CLI::IsMember({"full", "headers", "none"}));
  command->add_option("--body-limit", a->body_limit,
                      "Bytes of each body recorded, as in 1MiB (the default) or unlimited");
  command->add_option("--connect-timeout", a->connect_timeout,
                      "Give the gateway so long to answer; default: the system's limit");
  command->add_flag("--no-view-check", a->no_view_check, "Do not ask the gateway at start whom it sees");
  command->add_option("--drain", a->drain, "After SIGTERM sessions may go on for so long (10s)");
  command->add_option("--user", a->user, "Become this user after the start; needs root");
  command->add_flag(
      "--watchdog", a->watchdog,
      "Look after itself where no systemd does: a second process starts the proxy, kills it if it hangs, and "
      "starts it anew");
  command->callback([a, &exit_code] { exit_code = run(*a); });
}

}  // namespace smtpscope
