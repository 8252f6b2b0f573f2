// The few facts that list and recovery need of a transcript's line, found by one pass over its top level: a line may be
// long (its events) and there may be a hundred thousand, so no tree is built.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace smtpscope {

/// What a filter asks of a breakdown or a note.
struct FindingWords {
  std::string code, phase, party;
  bool operator==(const FindingWords&) const = default;
};

struct TranscriptLine {
  std::string id;
  uint64_t icid = 0;
  std::string started;  ///< as it stands: "2026-11-24T02:06:41.123456Z", which sorts as text
  std::string sender_ip;
  std::string verdict;
  std::string summary;
  std::string code, phase, party;  ///< of the breakdown; empty if there is none
  std::vector<FindingWords> notes;
  uint64_t left_out = 0;  ///< recipients of accepted messages that were refused
};

/// None if the line is no JSON object with a schema of ours, an id, a sender and a start. Values that are not needed
/// are skipped, not checked. Never throws but std::bad_alloc.
std::optional<TranscriptLine> scan_transcript_line(std::string_view line);

/// The id alone; empty if the line is not whole.
std::string scan_transcript_id(std::string_view line);

}  // namespace smtpscope
