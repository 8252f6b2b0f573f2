// Where things stand in a store, and how they are made: directories 0700 and files 0600, whatever the umask.
//
//   <store>/senders/<source ip>/<YYYY-MM-DD>.jsonl    transcripts of the sessions that began on that day, UTC
//   <store>/senders/<source ip>/<YYYY-MM-DD>.pcapng   their recording
//   <store>/run/<instance>                            a running process each, see instance.h
//   <store>/windows.log                               when it listened, for whom, see window_log.h
//   <store>/windows/                                  debug windows that were opened, see debug_windows.h
//   <store>/control.sock                              where a running proxy is asked, see
//   proxy/control/control_socket.h <store>/index.sqlite                              a cache, see index.h; may be
//   deleted at any time
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include "capture/unique_fd.h"

namespace smtpscope {

/// "2026-11-24"; `unix_us` is clamped to the years 0 to 9999.
std::string utc_day(int64_t unix_us);

/// The name of a sender's directory: its address as it is. Characters that no address has become '_', so that no input
/// leaves the store.
std::string sender_directory(std::string_view ip);

/// Path of the day's file of a sender, below the store: "senders/192.0.2.1/2026-11-24.jsonl".
std::string transcripts_path(std::string_view store, std::string_view ip, int64_t started_us);
std::string recording_path(std::string_view store, std::string_view ip, int64_t started_us);
std::string senders_path(std::string_view store);
std::string run_path(std::string_view store);
std::string index_path(std::string_view store);
std::string windows_path(std::string_view store);
std::string debug_windows_path(std::string_view store);

/// Creates `path` and what is missing above it, each 0700. What exists keeps its mode.
std::error_code make_private_directories(const std::string& path) noexcept;

/// open(2) with O_CLOEXEC; a file that it creates is 0600. -1 and errno as open(2) has it.
int open_private(const std::string& path, int flags) noexcept;

/// A file mapped for reading. Whoever cuts the file while it is mapped makes the bytes behind the cut unreadable
/// (SIGBUS); only recovery cuts, and it holds the store then.
class MappedFile {
 public:
  /// Maps the whole file. Throws std::system_error, whose text names the file.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::string_view bytes() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace smtpscope
