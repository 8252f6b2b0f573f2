// Words that a summary's sentences are made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace smtpscope {

/// ASCII letters in lower case; all else stays.
std::string lower(std::string_view text);
/// "0.4 s", "30.0 s", "2 min 30 s", "15 min", "2 h 5 min", "3 d 4 h".
std::string span_text(int64_t us);
/// "1st", "2nd", "11th".
std::string ordinal(uint64_t n);
/// "812 bytes", "4.0 KiB", "21 MiB".
std::string size_text(uint64_t bytes);
/// "2026-11-24 02:06:41", UTC.
std::string moment_text(int64_t unix_us);

}  // namespace smtpscope
