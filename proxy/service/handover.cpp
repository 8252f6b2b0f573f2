#include "proxy/service/handover.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "config/units.h"

namespace smtpscope {
namespace {

constexpr const char* kVariable = "SMTPSCOPE_HANDOVER";  // "CHANNEL,LISTENER,LISTENER..." as descriptors
constexpr const char* kCounts = "SMTPSCOPE_COUNTS";      // a descriptor
constexpr char kServing = 'S', kYours = 'Y';

void send_word(const Fd& channel, char word) { (void)!send(channel.get(), &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT); }

/// The other side's word; 0 if it has ended without one, -1 if there is none yet.
int receive_word(const Fd& channel) {
  char word = 0;
  const ssize_t n = recv(channel.get(), &word, 1, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
  return n == 1 ? word : 0;
}

std::string late() {
  return fmt::format("did not serve within {} and was ended", format_duration_ms(Handover::kStartMs));
}

/// fork(), but the new process is a sibling and no child: whoever looks after this one, looks after that one too.
pid_t fork_sibling() {
  return static_cast<pid_t>(
      syscall(SYS_clone, static_cast<unsigned long>(CLONE_PARENT | SIGCHLD), nullptr, nullptr, nullptr, nullptr));
}

/// Those that a variable of the environment names, which is taken out of it.
std::vector<Fd> take_descriptors(const char* variable) {
  std::vector<Fd> found;
  const char* const text = std::getenv(variable);
  std::string_view rest = text == nullptr ? "" : text;
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    int fd = -1;
    const auto [at, error] = std::from_chars(item.data(), item.data() + item.size(), fd);
    if (error == std::errc() && at == item.data() + item.size() && fd > STDERR_FILENO && fcntl(fd, F_GETFD) >= 0)
      found.emplace_back(fd);
  }
  unsetenv(variable);
  return found;
}

}  // namespace

std::string Handover::begin(const std::vector<int>& sockets, int counts, std::function<void()> serves,
                            std::function<void(const std::string&)> failed) {
  std::array<int, 2> ends{-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
    return fmt::format("no channel to a new process: {}", std::strerror(errno));
  Fd own(ends[0]), others(ends[1]);
  std::vector<int> passed{others.get()};
  passed.insert(passed.end(), sockets.begin(), sockets.end());
  std::vector<std::string> argument_texts = invocation_.arguments;
  std::vector<std::string> variable_texts = environment_with({{kVariable, fmt::format("{}", fmt::join(passed, ","))},
                                                              {kCounts, counts < 0 ? "" : std::to_string(counts)},
                                                              {"WATCHDOG_PID", ""}});
  if (counts >= 0) passed.push_back(counts);
  const std::vector<char*> arguments = pointers(argument_texts), environment = pointers(variable_texts);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // a handler that ran in the new process would act in this one's place
  const pid_t pid = fork_sibling();
  if (pid == 0) {
    for (const int fd : passed) fcntl(fd, F_SETFD, 0);
    execute(arguments, environment);
    _exit(127);
  }
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0)
    return fmt::format("no new process: {}{}", std::strerror(error),
                       error == EINVAL && getpid() == 1 ? " (process 1 of a container cannot hand over; run it with "
                                                          "--watchdog, which then is process 1)"
                                                        : "");
  pid_ = pid;
  channel_ = std::move(own);
  serves_ = std::move(serves);
  failed_ = std::move(failed);
  late_ = false;
  poll_ = make_poll(loop_, channel_.get(), this);
  limit_ = make_timer(loop_, this);
  if (!poll_ || !limit_) {
    cancel();
    return "no descriptor or memory to hear from a new process";
  }
  uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
    if (handle->data) static_cast<Handover*>(handle->data)->on_news();
  });
  uv_timer_start(
      limit_.get(),
      [](uv_timer_t* timer) {
        if (timer->data) static_cast<Handover*>(timer->data)->on_limit();
      },
      kStartMs, kEndMs);
  return {};
}

void Handover::on_news() {
  const int word = receive_word(channel_);
  if (word < 0 || (word == kServing && late_)) return;
  if (word != kServing) return fail(late_ ? late() : "ended before it could serve, and its own messages say why");
  limit_.reset();
  const std::function<void()> then = serves_;
  then();
}

/// As long as the channel is open the process is there, and its number is nobody else's.
void Handover::on_limit() {
  kill(pid_, late_ ? SIGKILL : SIGTERM);
  if (late_) return fail(late());
  late_ = true;
}

void Handover::fail(const std::string& how) {
  const std::function<void(const std::string&)> then = failed_;
  close();
  then(how);
}

void Handover::yield() {
  send_word(channel_, kYours);
  close();
}

void Handover::cancel() {
  if (!under_way()) return;
  kill(pid_, SIGTERM);
  close();
}

void Handover::close() {
  poll_.reset();
  limit_.reset();
  channel_.reset();
}

Succession Succession::from_environment() {
  Succession succession;
  std::vector<Fd> passed = take_descriptors(kVariable), counts = take_descriptors(kCounts);
  if (passed.empty()) return succession;
  if (!counts.empty()) succession.counts = std::move(counts.front());
  succession.channel_ = std::move(passed.front());
  fcntl(succession.channel_.get(), F_SETFD, FD_CLOEXEC);
  passed.erase(passed.begin());
  succession.sockets = InheritedSockets(std::move(passed));
  return succession;
}

void Succession::serves(uv_loop_t* loop, std::function<void(bool)> ours) {
  ours_ = std::move(ours);
  send_word(channel_, kServing);
  poll_ = make_poll(loop, channel_.get(), this);
  if (!poll_) return;
  uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
    if (handle->data) static_cast<Succession*>(handle->data)->on_news();
  });
}

void Succession::on_news() {
  const int word = receive_word(channel_);
  if (word < 0) return;
  const std::function<void(bool)> then = std::move(ours_);
  close();
  then(word == kYours);
}

void Succession::close() {
  poll_.reset();
  channel_.reset();
}

}  // namespace smtpscope
