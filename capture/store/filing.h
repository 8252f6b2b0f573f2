// Sessions that did not come through the proxy, filed in a store beside those that did: recordings and transcripts
// appended to the files of their senders and days. One process; a session that is there already is not filed again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "capture/session.h"
#include "capture/store/append_file.h"
#include "capture/transcript/transcript.h"

namespace smtpscope {

class Filing {
 public:
  static constexpr size_t kMaxBlocks = size_t{256} * 1024;  ///< bytes of a recording that wait to be written
  static constexpr size_t kMaxOpenFiles = 64;

  explicit Filing(std::string store);
  ~Filing();

  /// Where one session is written. All throw std::system_error if the disk does not take it.
  class Place {
   public:
    /// What is appended here is written to the recording in time; whole blocks only.
    std::string& blocks();
    /// To be called behind each time that something was appended.
    void wrote();
    /// The session is over: puts the recording's place into the transcript, and files it.
    void ended(Transcript& transcript);

   private:
    friend class Filing;
    struct DayFile;
    Place(Filing& filing, DayFile& file);
    Filing* filing_;
    DayFile* file_;
    uint64_t begins_at_;
  };

  /// None if the session stands in the store already.
  std::optional<Place> begin(const SessionFacts& facts);
  /// Writes what waits.
  void flush();
  uint64_t filed() const { return filed_; }
  uint64_t already_there() const { return already_there_; }

 private:
  Place::DayFile& file_of(const SessionFacts& facts);
  void close_idle_files();

  std::string store_;
  std::map<std::string, std::unique_ptr<Place::DayFile>> files_;
  uint64_t filed_ = 0, already_there_ = 0;
};

}  // namespace smtpscope
