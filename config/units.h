// Durations, sizes and host:port as an operator writes them, to numbers and back. Every error says what to write
// instead; it does not repeat the name of the option, which the caller knows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.h"
#include "config/settings.h"

namespace smtpscope {

inline constexpr uint64_t kMaxDurationMs = uint64_t{36'500} * 24 * 3600 * 1000;  ///< a hundred years
inline constexpr uint64_t kMaxSize = uint64_t{1} << 60;                          ///< 1 EiB
inline constexpr std::string_view kUnlimited = "unlimited";

/// "500ms", "90s", "30m", "2h", "7d": a whole number and a unit, up to kMaxDurationMs. Milliseconds; "0s" is 0.
Result<uint64_t> parse_duration_ms(std::string_view text);
/// As parse_duration_ms, for a limit: "unlimited" is 0, and a duration of nothing is refused.
Result<uint64_t> parse_duration_limit_ms(std::string_view text);
/// "512", "512B", "64KiB", "1MiB", "10GiB", "2TiB", and powers of ten as "10MB"; "unlimited" is 0, and nothing else is.
Result<uint64_t> parse_size(std::string_view text);
/// "192.0.2.1:25" or "[2001:db8::1]:25"; the address comes back in canonical form, the port is 1..65535.
Result<HostPort> parse_host_port(std::string_view text);

/// The shortest text in one unit that parses to the same value: "30m", "0s".
std::string format_duration_ms(uint64_t ms);
/// "unlimited" for 0.
std::string format_duration_limit_ms(uint64_t ms);
/// "1MiB"; "unlimited" for 0.
std::string format_size(uint64_t bytes);
std::string format_host_port(const HostPort& value);

/// Text in double quotes, cut at 80 bytes, with control characters and bytes above 126 as \xNN: fit for a message.
std::string quoted(std::string_view text);

}  // namespace smtpscope
