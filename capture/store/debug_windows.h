// Debug windows as the store keeps them: what was asked for, what came of it, and how it ended.
//
//   <store>/windows/<window>/opened.json        what was asked for; written once, whole
//   <store>/windows/<window>/<instance>.jsonl   what a run of the proxy counted; its last whole line holds
//   <store>/windows/<window>/ended.json         how it ended; made once, whole, by whoever ends it
//   <store>/windows/<window>/told               what came of it was told in the log; made once, by whoever tells
//
// Each file has one writer, and a run counts only what it saw itself: several runs, one after the other or (during an
// upgrade) beside each other, add up, and whatever dies at any time leaves what was counted before.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "capture/smtp/vocabulary.h"
#include "capture/store/append_file.h"

namespace smtpscope {

inline constexpr std::string_view kConfigWindow = "config";  ///< the id of the configuration's own

/// What was asked for.
struct DebugWindow {
  std::string id;                             ///< "3"; "config": the configuration's own
  std::vector<std::string> senders, exclude;  ///< entries as they were written
  uint64_t sessions = 0;                      ///< it ends after so many; 0: no limit
  int64_t opened_us = 0;                      ///< Unix time
  int64_t until_us = 0;                       ///< and then at the latest; 0: no limit
  std::string reason;                         ///< as it was given; may be empty

  /// What is left of its time, microseconds, at least 1; 0: it has no limit. A clock that was set back does not
  /// lengthen it.
  int64_t left_us(int64_t now_us) const;
  bool operator==(const DebugWindow&) const = default;
};

/// What came of it.
struct WindowTally {
  struct Code {
    uint64_t sessions = 0;
    std::string newest;  ///< id of the last of them
    bool operator==(const Code&) const = default;
  };
  uint64_t sessions = 0;               ///< begun
  std::array<uint64_t, 4> verdicts{};  ///< of those that have ended
  std::map<std::string, Code> codes;   ///< of those that broke
  std::string newest;                  ///< id of the last that ended
  std::set<uint32_t> came;             ///< indices of senders in which the address of a session lay
  uint64_t connections = 0;            ///< that the proxy took from anybody while the window was open
  bool operator==(const WindowTally&) const = default;

  uint64_t ended() const { return verdicts[0] + verdicts[1] + verdicts[2] + verdicts[3]; }
  uint64_t count(Verdict verdict) const { return verdicts[static_cast<size_t>(verdict)]; }
  /// `other` is of a later run.
  void add(const WindowTally& other);
};

struct StoredWindow {
  DebugWindow window;
  std::string folder;    ///< its path
  WindowTally tally;     ///< of all runs
  std::string ended_by;  ///< "time", "count", "hand", "configuration"; or "unknown"; empty: it has not ended
  int64_t ended_us = 0;

  struct Run {
    std::string instance;
    WindowTally tally;
  };
  std::vector<Run> runs{};  ///< those of which `tally` is the sum

  /// One whose time is over or whose sessions have come has ended, also if nobody was alive to tell.
  void settle(int64_t now_us);
};

/// Keeps a new window. Without an id it gets one, the next number. Gives back its folder. On the disk when it returns;
/// throws std::system_error if the store does not take it.
std::string keep_window(std::string_view store, DebugWindow& window);
/// Tells that it ended. False if somebody has told so before, and if the store does not take it (`error` then says
/// why).
bool end_window(const std::string& folder, std::string_view by, int64_t at_us, std::error_code& error) noexcept;
/// True for the first who asks: whoever is to tell what came of it. Where the store does not take that, for everybody.
bool claim_telling(const std::string& folder) noexcept;
/// Takes it out of the store.
std::error_code remove_window(const std::string& folder) noexcept;
/// One of the words of StoredWindow::ended_by, as whoever ended it told; null: it has not ended.
const char* window_ended_by(const std::string& folder) noexcept;

/// None if nothing certain is known of it.
std::optional<StoredWindow> read_debug_window(const std::string& folder);
/// How many there are, those included that cannot be read.
size_t count_debug_windows(std::string_view store);
/// All windows of the store that can be read, in the order in which they were opened.
std::vector<StoredWindow> read_debug_windows(std::string_view store);

/// Where a run leaves its count.
class TallyFile {
 public:
  TallyFile(const std::string& folder, std::string_view instance);
  /// After an error what was saved before holds.
  std::error_code save(const WindowTally& tally) noexcept;

 private:
  static constexpr uint64_t kMostBytes = 256 * 1024;  ///< it is then written anew
  std::string path_;
  AppendFile file_;
};

/// A line without its end. Of a text that is none, an empty tally.
std::string tally_json(const WindowTally& tally);
WindowTally read_tally_json(std::string_view text);

}  // namespace smtpscope
