// Reads back what json_writer.h wrote, of this and every earlier version of the schema.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "capture/transcript/transcript.h"

namespace smtpscope {

/// One line of a .jsonl file as a transcript. None if it is no JSON, no transcript, or of a schema that this version
/// does not know; `error` (may be null) then says what is wrong and where ("events/3/code: not a number from 0 to
/// 65535"). Fields that are not known are ignored, fields that later versions added may be missing. Every event index
/// in the result is -1 or below events.size(). Never throws.
std::optional<Transcript> read_json(std::string_view line, std::string* error) noexcept;

/// "2026-11-24T02:06:41.123456Z" (fraction of 0 to 6 digits) as Unix time in microseconds; none if it is no such
/// moment.
std::optional<int64_t> parse_iso_utc(std::string_view text);

}  // namespace smtpscope
