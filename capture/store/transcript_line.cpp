#include "capture/store/transcript_line.h"

#include <charconv>

#include "capture/store/json_cursor.h"

namespace smtpscope {
namespace {

constexpr std::string_view kSchema = "smtpscope.transcript/1";

FindingWords words_of(std::string_view finding) {
  FindingWords f;
  json_members(finding, [&](std::string_view key, std::string_view value) {
    if (key == "code") f.code = json_text_of(value);
    if (key == "phase") f.phase = json_text_of(value);
    if (key == "party") f.party = json_text_of(value);
  });
  return f;
}

uint64_t recipients_left_out(std::string_view messages) {
  uint64_t all = 0;
  json_elements(messages, [&](std::string_view message) {
    uint64_t refused = 0;
    bool accepted = false;
    json_members(message, [&](std::string_view key, std::string_view value) {
      if (key == "accepted") accepted = value == "true";
      if (key != "recipients") return;
      json_elements(value, [&](std::string_view recipient) {
        json_members(recipient, [&](std::string_view field, std::string_view v) {
          unsigned code = 0;
          if (field == "code") std::from_chars(v.data(), v.data() + v.size(), code);
          if (code >= 400) ++refused;
        });
      });
    });
    if (accepted) all += refused;
  });
  return all;
}

}  // namespace

std::optional<TranscriptLine> scan_transcript_line(std::string_view line) {
  TranscriptLine t;
  std::string schema;
  std::string_view sender, breakdown, notes, messages;
  const bool whole = json_members(line, [&](std::string_view key, std::string_view value) {
    if (key == "schema") schema = json_text_of(value);
    if (key == "id") t.id = json_text_of(value);
    if (key == "icid") std::from_chars(value.data(), value.data() + value.size(), t.icid);
    if (key == "started") t.started = json_text_of(value);
    if (key == "sender") sender = value;
    if (key == "verdict") t.verdict = json_text_of(value);
    if (key == "summary") t.summary = json_text_of(value);
    if (key == "breakdown") breakdown = value;
    if (key == "notes") notes = value;
    if (key == "messages") messages = value;
  });
  if (!whole || (schema != kSchema && !schema.starts_with(std::string(kSchema) + '.'))) return std::nullopt;
  json_members(sender, [&](std::string_view key, std::string_view value) {
    if (key == "ip") t.sender_ip = json_text_of(value);
  });
  FindingWords broke = words_of(breakdown);
  t.code = std::move(broke.code);
  t.phase = std::move(broke.phase);
  t.party = std::move(broke.party);
  json_elements(notes, [&](std::string_view note) { t.notes.push_back(words_of(note)); });
  t.left_out = recipients_left_out(messages);
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
