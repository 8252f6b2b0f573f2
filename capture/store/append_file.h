// A file that only grows, by whole pieces: one write a piece, O_APPEND, so several processes may share it. A piece that
// the disk did not take whole is cut away again, so the file always ends at a whole block or line. Never throws.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include "capture/store/paths.h"

namespace smtpscope {

class AppendFile {
 public:
  explicit AppendFile(std::string path) : path_(std::move(path)) {}

  /// Opens the file (0600) and makes its directories (0700) if need be, then appends. After an error nothing of `bytes`
  /// is in the file, and the next call tries anew.
  std::error_code append(std::string_view bytes) noexcept;
  void close() noexcept { fd_.reset(); }
  bool is_open() const { return static_cast<bool>(fd_); }
  /// Size of the file after the last append, bytes; 0 before the first.
  uint64_t end() const { return end_; }

 private:
  std::error_code open() noexcept;

  std::string path_;
  UniqueFd fd_;
  uint64_t end_ = 0;
};

}  // namespace smtpscope
