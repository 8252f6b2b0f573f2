// Reads what pcapng_writer wrote, whatever happened to the file since: several sections, sessions of several processes
// mixed, a torn tail, damage in the middle. Forged lengths are refused; memory stays in proportion to the sessions open
// at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "capture/recording/recorded_packets.h"

namespace smtpscope {

struct ReadReport {
  uint64_t whole_bytes = 0;      ///< end of the last whole block
  uint64_t ignored_packets = 0;  ///< packets of no session that the file tells of
  std::string error;             ///< what was wrong, for a person; empty: nothing
};

/// Hands over the records of all sessions in `file` (recorded_packets.h says how).
ReadReport read_recording(std::string_view file, const OnRecord& on_record);

/// A pcapng file of its own with the blocks of session `id` only; empty if the file has no such session.
std::string cut_session(std::string_view file, std::string_view id);

}  // namespace smtpscope
