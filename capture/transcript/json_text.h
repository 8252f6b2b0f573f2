// Strings and numbers as JSON, by appending. No input can make the output invalid JSON or invalid UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace smtpscope {

/// Appends `text` quoted. Control characters are escaped; a byte that is not UTF-8 (which lossless text never holds)
/// becomes U+FFFD.
void append_json_string(std::string& out, std::string_view text);
/// ["...", ...]
void append_json_strings(std::string& out, const std::vector<std::string>& texts);
/// Writes microseconds as milliseconds to `at`, where there is room for kJsonMsSize bytes, and returns the end of it:
/// 31200 is 31.2, 5 is 0.005, 2000 is 2.
char* put_json_ms(char* at, int64_t us);
inline constexpr size_t kJsonMsSize = 25;

/// Unix time in microseconds as "2026-11-24T02:06:41.123456Z". What lies outside the years 0 to 9999 is moved to the
/// nearest moment that does not.
std::string iso_utc(int64_t unix_us);

}  // namespace smtpscope
