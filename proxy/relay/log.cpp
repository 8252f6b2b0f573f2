#include "proxy/relay/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

namespace smtpscope {
namespace {

constexpr const char* kSessions = "sessions";

/// Keeps lines until it is flushed. spdlog's own sink for stderr makes a system call of each line.
class StderrSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    formatter_->format(message, lines_);
    if (lines_.size() > kMax) flush_();
  }
  void flush_() override {
    const char* at = lines_.data();
    const char* const end = at + lines_.size();
    while (at < end) {
      const ssize_t n = write(STDERR_FILENO, at, static_cast<size_t>(end - at));
      if (n < 0 && errno != EINTR) break;  // nobody reads the log; mail goes on
      if (n > 0) at += n;
    }
    lines_.clear();
  }

 private:
  static constexpr size_t kMax = 64 * 1024;
  spdlog::memory_buf_t lines_;
};

}  // namespace

void log_to_stderr() {
  const auto sink = std::make_shared<StderrSink>();
  const auto logger = std::make_shared<spdlog::logger>("", sink);
  logger->flush_on(spdlog::level::trace);
  const auto sessions = std::make_shared<spdlog::logger>(kSessions, sink);
  for (const auto& each : {logger, sessions}) each->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  spdlog::set_default_logger(logger);
  spdlog::drop(kSessions);
  spdlog::register_logger(sessions);
}

std::shared_ptr<spdlog::logger> session_log() {
  auto sessions = spdlog::get(kSessions);
  return sessions ? sessions : spdlog::default_logger();
}

}  // namespace smtpscope
