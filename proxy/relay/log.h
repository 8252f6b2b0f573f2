// The log, on stderr: one line a happening.
#pragma once

#include <spdlog/logger.h>

#include <memory>

namespace smtpscope {

/// Makes spdlog's default logger write to stderr, and session_log() with it.
void log_to_stderr();

/// For lines that may come by thousands a second, one a session: they leave when it is flushed, or with the next line
/// of the default logger. The default logger where log_to_stderr() was not called.
std::shared_ptr<spdlog::logger> session_log();

}  // namespace smtpscope
