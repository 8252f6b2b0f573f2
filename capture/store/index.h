// The index of a store's transcripts: an SQLite cache of what `list` and `show` look for, kept by whoever reads. The
// files are the truth. Opening brings it up to date: new lines are added, rows of files that shrank, were replaced or
// are gone are dropped, and a database that is broken or of another version is deleted and built anew. Where the store
// cannot be written, the index lives in memory for the one call.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/address_bytes.h"
#include "capture/store/transcript_line.h"

namespace smtpscope {

struct IndexEntry {
  std::string id;
  uint64_t icid = 0;
  std::string started;  ///< "2026-11-24T02:06:41.123456Z"
  std::string sender_ip;
  std::string verdict;
  std::string code, phase, party;  ///< of the breakdown; empty if none
  std::string summary;
  std::string file;                 ///< path of the .jsonl
  uint64_t offset = 0, length = 0;  ///< of the line in it, without its end
  std::vector<FindingWords> notes;
  uint64_t left_out = 0;  ///< recipients of accepted messages that were refused
};

/// All that is set must hold. Lists of values: any of them.
struct IndexQuery {
  std::vector<std::pair<AddressBytes, AddressBytes>> senders;  ///< first and last address; empty: all
  std::vector<std::string> verdicts, codes, phases, parties;
  std::string since, until;  ///< as `started` is written: since <= started < until; empty: no limit
  std::string id_prefix;
  uint64_t last = 0;       ///< only the newest so many; 0: all; not together with codes, phases and parties
  bool by_sender = false;  ///< in the order of addresses, so that those of one network follow each other; oldest first
};

/// Is there a finding with one of the codes, one of the phases and one of the parties? The breakdown counts, and the
/// notes of a session that did not break; a note of one that did only where its code is asked for.
bool finds(const IndexQuery& query, const IndexEntry& entry);

class Index {
 public:
  /// Opens the index of `store` and brings it up to date. Throws std::runtime_error if there is no store to read.
  explicit Index(const std::string& store);
  ~Index();
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  /// Oldest first (see by_sender); false from `on_entry` ends it. Gives back how many it was called for.
  uint64_t query(const IndexQuery& query, const std::function<bool(const IndexEntry&)>& on_entry);

  /// Lines and files that are no transcripts or could not be read, each for a person; at most 20, and a count.
  const std::vector<std::string>& problems() const { return problems_; }
  bool in_memory() const { return in_memory_; }
  uint64_t lines_read() const { return lines_read_; }

 private:
  struct Database;
  struct File;
  void open(bool in_memory);
  void update();
  void update_file(const std::string& relative, const std::string& path);
  void problem(std::string text);

  std::string store_;
  std::unique_ptr<Database> db_;
  std::vector<std::string> problems_;
  uint64_t unsaid_problems_ = 0;
  uint64_t lines_read_ = 0;
  bool in_memory_ = false;
};

}  // namespace smtpscope
