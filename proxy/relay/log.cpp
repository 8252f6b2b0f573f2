#include "proxy/relay/log.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <mutex>
#include <string>

namespace smtpscope {
namespace {

constexpr const char* kSessions = "sessions";

/// Keeps lines until it is flushed. spdlog's own sink for stderr makes a system call of each line. A pipe, socket or
/// terminal that nobody reads from is given up after a short while, with its lines, until there is room again: a relay
/// that waited for it would be hung.
class StderrSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    formatter_->format(message, lines_);
    if (lines_.size() > kMax) flush_();
  }
  void flush_() override {
    if (lost_ > 0 && has_room()) {
      const std::string told = fmt::format("\n{} bytes of the log were lost here: nobody read it\n", lost_);
      lost_ = 0;
      put(told.data(), told.size());
    }
    put(lines_.data(), lines_.size());
    lines_.clear();
  }

 private:
  static constexpr size_t kMax = 64 * 1024;
  static constexpr int kPatienceMs = 200;

  void put(const char* at, size_t left) {
    while (left > 0) {
      if (!has_room()) break;
      // Where there is room at all, there is for so much.
      const ssize_t n = write(STDERR_FILENO, at, file_ ? left : std::min<size_t>(left, PIPE_BUF));
      if (n < 0 && errno != EINTR) break;  // nobody reads the log; mail goes on
      if (n > 0) at += n, left -= static_cast<size_t>(n);
    }
    lost_ += left;
  }
  bool has_room() {
    if (file_) return true;
    pollfd stderr_ready{STDERR_FILENO, POLLOUT, 0};
    int ready = 0;
    do ready = poll(&stderr_ready, 1, stuck_ ? 0 : kPatienceMs);
    while (ready < 0 && errno == EINTR);
    stuck_ = ready == 0;
    return !stuck_;
  }
  static bool is_file() {
    struct stat status {};
    return fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode);
  }

  spdlog::memory_buf_t lines_;
  const bool file_ = is_file();
  bool stuck_ = false;  ///< there was no room the last time
  size_t lost_ = 0;     ///< bytes, not told yet
};

}  // namespace

void log_to_stderr() {
  const auto sink = std::make_shared<StderrSink>();
  const auto logger = std::make_shared<spdlog::logger>("", sink);
  logger->flush_on(spdlog::level::trace);
  const auto sessions = std::make_shared<spdlog::logger>(kSessions, sink);
  for (const auto& each : {logger, sessions}) each->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  spdlog::set_default_logger(logger);
  spdlog::drop(kSessions);
  spdlog::register_logger(sessions);
}

std::shared_ptr<spdlog::logger> session_log() {
  auto sessions = spdlog::get(kSessions);
  return sessions ? sessions : spdlog::default_logger();
}

}  // namespace smtpscope
