// Transcripts' lines out of the store, by what the index says of them; and text made harmless for a terminal.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "capture/store/index.h"
#include "capture/store/paths.h"

namespace smtpscope {

/// Keeps the last file open: entries of one file that follow each other cost one open.
class StoredLines {
 public:
  /// False and an error for a person if the file is gone or no longer holds the line.
  bool read(const IndexEntry& entry, std::string& line, std::string& error);

 private:
  std::string path_;
  UniqueFd fd_;
};

/// `text` with control characters (C0, DEL, C1) as \xNN: what cannot steer a terminal.
std::string harmless(std::string_view text);

}  // namespace smtpscope
