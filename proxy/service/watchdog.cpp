#include "proxy/service/watchdog.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace smtpscope {
namespace {

constexpr int kNotFound = 127;  // as shells say it

uint64_t now_ms() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(fmt::format("no watchdog: {}: {}", what, std::strerror(errno)));
}

/// A socket for news with a name that nobody else has; the kernel tells who sent what.
Fd news_socket(std::string& name) {
  Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t length = sizeof address.sun_family;  // the kernel chooses
  if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0)
    fail("socket");
  length = sizeof address;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) fail("socket");
  name = '@' + std::string(address.sun_path + 1, length - offsetof(sockaddr_un, sun_path) - 1);
  return fd;
}

std::string how(int status) {
  if (WIFEXITED(status)) return fmt::format("ended with status {}", WEXITSTATUS(status));
  return fmt::format("was ended by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
}

}  // namespace

uint64_t Backoff::next_ms(uint64_t lived_ms) {
  if (lived_ms >= kLongMs) in_a_row_ = 0;
  return kWaitMs[std::min<size_t>(in_a_row_++, kWaitMs.size() - 1)];
}

ServiceNews parse_news(std::string_view message) {
  ServiceNews news;
  while (!message.empty()) {
    const std::string_view line = message.substr(0, message.find('\n'));
    message.remove_prefix(std::min(message.size(), line.size() + 1));
    if (line == "READY=1") news.ready = true;
    if (line == "WATCHDOG=1") news.alive = true;
    if (line == "STOPPING=1") news.stopping = true;
    constexpr std::string_view kMain = "MAINPID=";
    if (line.starts_with(kMain)) {
      pid_t pid = 0;
      const auto [at, error] = std::from_chars(line.data() + kMain.size(), line.data() + line.size(), pid);
      if (error == std::errc() && at == line.data() + line.size() && pid > 0) news.main = pid;
    }
  }
  return news;
}

Watchdog::Watchdog(Invocation invocation) : invocation_(std::move(invocation)) {
  std::string name;
  socket_ = news_socket(name);
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD}) sigaddset(&set, number);
  if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) fail("signals");
  signals_ = Fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) fail("signals");
  arguments_ = invocation_.arguments;
  environment_ = environment_with(
      {{"NOTIFY_SOCKET", name}, {"WATCHDOG_USEC", std::to_string(kSilentMs * 1000)}, {"WATCHDOG_PID", ""}});
}

int Watchdog::run() {
  start();
  while (!over_) {
    const uint64_t before = now_ms();
    std::array<pollfd, 2> both{pollfd{socket_.get(), POLLIN, 0}, pollfd{signals_.get(), POLLIN, 0}};
    poll(both.data(), both.size(), static_cast<int>(SilentTime::kTurnMs));
    hear();
    signalfd_siginfo signal{};
    while (read(signals_.get(), &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal))
      on_signal(static_cast<int>(signal.ssi_signo));
    judge(now_ms() - before);
    if (child_ == 0 && !stop_asked_ && !over_ && now_ms() >= start_at_ms_) start();
  }
  return exit_code_;
}

void Watchdog::start() {
  const std::vector<char*> arguments = pointers(arguments_), environment = pointers(environment_);
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);  // what a terminal sends to all of a group, the watchdog alone gets and hands on
    execute(arguments, environment);
    _exit(kNotFound);
  }
  silence_.broken();
  ready_at_ms_ = 0;
  stopping_ = killed_ = false;
  if (pid > 0) {
    child_ = pid;
    return;
  }
  const std::string why = std::strerror(errno);
  start_at_ms_ = now_ms() + backoff_.next_ms(0);
  spdlog::error("watchdog: no new process: {}", why);
  if (!ever_ready_) over_ = true, exit_code_ = 1;
}

/// Only the process that is watched is listened to.
void Watchdog::hear() {
  for (;;) {
    std::array<char, 4096> text;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control;
    iovec part{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return;
    ucred from{};
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(&message, each))
      if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SCM_CREDENTIALS)
        std::memcpy(&from, CMSG_DATA(each), sizeof from);
    if (from.pid == 0 || from.pid != child_) continue;
    const ServiceNews news = parse_news({text.data(), static_cast<size_t>(size)});
    if (news.alive || news.ready) silence_.broken();
    if (news.ready && ready_at_ms_ == 0) {
      ready_at_ms_ = now_ms();
      ever_ready_ = true;
    }
    stopping_ = stopping_ || news.stopping;
    siginfo_t info{};
    if (news.main != 0 && waitid(P_PID, static_cast<id_t>(news.main), &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
      drained_.push_back(std::exchange(child_, news.main));
      silence_.broken();
      ready_at_ms_ = now_ms();
      stopping_ = false;
      if (stop_asked_) kill(child_, SIGTERM);
    }
  }
}

void Watchdog::judge(uint64_t took_ms) {
  if (child_ == 0) return;
  silence_.turn(took_ms);
  // Before it serves it may have a large store to look through; nobody's mail hangs on it then.
  const uint64_t limit = stopping_ ? kSilentAtEndMs : kSilentMs;
  if (ready_at_ms_ == 0 || killed_ || silence_.ms() < limit) return;
  killed_ = true;
  spdlog::error("watchdog: process {} has given no sign of life for {} s: it is killed{}", child_, silence_.ms() / 1000,
                stop_asked_ ? "" : " and started anew; transcripts of its open sessions follow from their recordings");
  kill(child_, SIGKILL);
}

void Watchdog::reap() {
  hear();  // what the dead have said: a process that was replaced may end as soon as it has named the next one
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == child_) {
      child_ = 0;
      on_end(status);
    } else {
      std::erase(drained_, pid);
    }
  }
  if (stop_asked_ && child_ == 0 && drained_.empty()) over_ = true;
}

void Watchdog::on_end(int status) {
  const uint64_t lived_ms = ready_at_ms_ == 0 ? 0 : now_ms() - ready_at_ms_;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : killed_ || !stop_asked_ ? 1 : 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotFound && ready_at_ms_ == 0)
    spdlog::error("watchdog: {} cannot be run", arguments_.front());
  if (stop_asked_) return;
  const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!ever_ready_ || good) {  // asked to stop by somebody else, or wrong from the beginning
    if (!WIFEXITED(status)) spdlog::error("watchdog: the proxy {} before it served", how(status));
    stop_asked_ = true;
    return;
  }
  const uint64_t wait_ms = backoff_.next_ms(lived_ms);
  start_at_ms_ = now_ms() + wait_ms;
  if (backoff_.in_a_row() == 1)
    spdlog::error("watchdog: the proxy {}; it is started anew", how(status));
  else
    spdlog::error(
        "watchdog: the proxy {}, {}; {} short lives in a row, so the next start is in {} ms. Its own messages above "
        "say why it ended; {}",
        how(status),
        lived_ms == 0 ? "before it served" : fmt::format("after {:.1f} s", static_cast<double>(lived_ms) / 1000),
        backoff_.in_a_row(), wait_ms, "SIGTERM to the watchdog ends this");
}

void Watchdog::send_all(int number) {
  if (child_ != 0) kill(child_, number);
  for (const pid_t pid : drained_) kill(pid, number);
}

void Watchdog::on_signal(int number) {
  if (number == SIGCHLD) {
    reap();
  } else if (number == SIGTERM || number == SIGINT) {
    stop_asked_ = true;
    send_all(SIGTERM);
    if (child_ == 0 && drained_.empty()) over_ = true;
  } else if (child_ != 0) {
    kill(child_, number);
  }
}

}  // namespace smtpscope
