// Transcripts' lines out of the store, by what the index says of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "capture/store/index.h"
#include "capture/store/paths.h"
#include "capture/transcript/harmless.h"

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

}  // namespace smtpscope
