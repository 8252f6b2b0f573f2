#include "capture/store/transcript_line.h"

#include <charconv>

#include "capture/store/json_cursor.h"

namespace smtpscope {
namespace {

constexpr std::string_view kSchema = "smtpscope.transcript/1";

}  // namespace

std::optional<TranscriptLine> scan_transcript_line(std::string_view line) {
  TranscriptLine t;
  std::string schema;
  std::string_view sender, breakdown;
  const bool whole = json_members(line, [&](std::string_view key, std::string_view value) {
    if (key == "schema") schema = json_text_of(value);
    if (key == "id") t.id = json_text_of(value);
    if (key == "icid") std::from_chars(value.data(), value.data() + value.size(), t.icid);
    if (key == "started") t.started = json_text_of(value);
    if (key == "sender") sender = value;
    if (key == "verdict") t.verdict = json_text_of(value);
    if (key == "summary") t.summary = json_text_of(value);
    if (key == "breakdown") breakdown = value;
  });
  if (!whole || (schema != kSchema && !schema.starts_with(std::string(kSchema) + '.'))) return std::nullopt;
  json_members(sender, [&](std::string_view key, std::string_view value) {
    if (key == "ip") t.sender_ip = json_text_of(value);
  });
  json_members(breakdown, [&](std::string_view key, std::string_view value) {
    if (key == "code") t.code = json_text_of(value);
    if (key == "phase") t.phase = json_text_of(value);
    if (key == "party") t.party = json_text_of(value);
  });
  if (t.id.empty() || t.started.empty() || t.sender_ip.empty()) return std::nullopt;
  return t;
}

std::string scan_transcript_id(std::string_view line) {
  std::string id;
  const bool whole = json_members(line, [&](std::string_view key, std::string_view value) {
    if (key == "id") id = json_text_of(value);
  });
  return whole ? id : std::string();
}

}  // namespace smtpscope
