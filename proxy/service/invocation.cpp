#include "proxy/service/invocation.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>

namespace smtpscope {

Invocation Invocation::of_this_process() {
  Invocation invocation;
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  for (std::string argument; std::getline(file, argument, '\0');) invocation.arguments.push_back(std::move(argument));
  if (invocation.arguments.empty()) throw std::runtime_error("/proc/self/cmdline cannot be read: is /proc mounted?");
  return invocation;
}

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& changes) {
  std::vector<std::string> all;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view entry = *each;
    const std::string_view name = entry.substr(0, entry.find('='));
    if (std::none_of(changes.begin(), changes.end(), [&](const auto& change) { return change.first == name; }))
      all.emplace_back(entry);
  }
  for (const auto& [name, value] : changes)
    if (!value.empty()) all.push_back(fmt::format("{}={}", name, value));
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> all;
  all.reserve(strings.size() + 1);
  for (std::string& each : strings) all.push_back(each.data());
  all.push_back(nullptr);
  return all;
}

namespace {

sigset_t requests() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGHUP);
  sigaddset(&signals, SIGUSR2);
  return signals;
}

}  // namespace

void execute(const std::vector<char*>& arguments, const std::vector<char*>& environment) {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (sigaction(number, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = SIG_DFL;
    sigaction(number, &action, nullptr);
  }
  const sigset_t held = requests();
  sigprocmask(SIG_SETMASK, &held, nullptr);
  execvpe(arguments[0], arguments.data(), environment.data());
}

void hold_requests(bool hold) {
  const sigset_t signals = requests();
  pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace smtpscope
