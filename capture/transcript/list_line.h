// One session as one line of `list`.
#pragma once

#include <cstdint>
#include <string>

#include "capture/transcript/transcript.h"

namespace smtpscope {

/// What a line shows; the store's index has it without reading the transcript.
struct ListRow {
  std::string started;  ///< "2026-11-24T02:06:41.123456Z"
  std::string id;
  std::string sender_ip;
  std::string verdict;  ///< as spelled in the transcript
  std::string code;     ///< of the breakdown; empty if there is none
  std::string summary;
  uint64_t left_out = 0;  ///< recipients of accepted messages that were refused
};

ListRow list_row(const Transcript& transcript);

/// Time, id, sender, what came of it (the breakdown's code, else the verdict; "delivered in part" where a recipient was
/// left out), summary: aligned, at most `width`
/// columns (taken as at least 60), harmless (harmless.h), without a line end. A cell that is too long moves the rest of
/// its line; only the summary is cut. With `colour` the outcome is coloured.
std::string list_line(const ListRow& row, int width, bool colour);

}  // namespace smtpscope
