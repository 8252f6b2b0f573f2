// Cisco Injection Debug Logs -> transcripts, for those who cannot put a proxy inline: the sessions of a log, taken
// apart by host, ICID and address however they are interleaved, each read by the same SessionAnalyzer as a session that
// passed the proxy. The log has whole seconds, no closes and no ports, and the transcript says so (capture.source,
// capture.resolution_ms); a verdict that would rest on one of these is `unknown`.
//
// A file of any size is fed in pieces of any size; what is held is bounded: kMaxOpen sessions or kMaxMemory bytes,
// beyond which the session that was silent longest is handed out as it is. Lines that are no part of such a log are
// counted and passed over.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "capture/foreign/injection_log_line.h"
#include "capture/foreign/injection_log_session.h"
#include "capture/foreign/log_clock.h"

namespace smtpscope {

/// Do these first bytes of a file (some kilobytes) hold a line of such a log?
bool looks_like_injection_log(std::string_view first_bytes);

struct InjectionLogReport {
  uint64_t lines = 0;    ///< of the file
  uint64_t unknown = 0;  ///< that are no part of such a log
  uint64_t cut = 0;      ///< that have no end
  uint64_t sessions = 0;
  std::string error;  ///< "line 17 is no line of an injection debug log: ...", the first of them; empty: none
};

class InjectionLogReader {
 public:
  static constexpr size_t kMaxOpen = 4096;
  static constexpr size_t kMaxMemory = 256 * 1024 * 1024;
  static constexpr size_t kMaxLine = 1024 * 1024;      ///< bytes of one line that are kept
  static constexpr int64_t kSilent_us = 3600'000'000;  ///< a session that is silent for so long is over
  static constexpr int64_t kLeaving_us = 10'000'000;   ///< one that took its leave, after so long
  using Sink = std::function<void(Transcript)>;

  /// `now_us` (Unix time) gives lines without a year theirs. `sink` gets the sessions as they end.
  InjectionLogReader(int64_t now_us, Sink sink) : clock_(now_us), sink_(std::move(sink)) {}

  void feed(std::string_view piece);
  /// The file ends. Hands out all sessions that are open.
  InjectionLogReport finish();

 private:
  struct Open {
    std::string key;
    InjectionLogSession session;
    int64_t last_us = 0;  ///< Unix time of its last line
    size_t memory = 0;
    bool leaving = false;
  };
  using Sessions = std::list<Open>;  ///< the longest silent first
  /// Which ICIDs of a host are new: those above one whose beginning was seen.
  struct Host {
    uint64_t begun = UINT64_MAX;
  };

  void line(std::string_view text);
  /// One logical line; false if it is none of this log.
  bool entry(std::string_view text, bool cut);
  void settle_unfinished();
  void unknown(std::string_view text, uint64_t number);
  Sessions::iterator session_of(const InjectionLogLine& line, const LogStamp& stamp);
  /// `goes_on`: an earlier part of this session was handed out.
  bool begins_late(const InjectionLogLine& line, const LogStamp& stamp, bool goes_on);
  void touch(Sessions::iterator open, int64_t at_us);
  void end(Sessions::iterator open, std::string_view why = {});
  void end_silent(int64_t now_us);

  LogClock clock_;
  Sink sink_;
  InjectionLogReport report_;
  std::string partial_;  ///< the beginning of a line
  // a line without its closing quote, and what came behind it
  std::string unfinished_;
  uint64_t unfinished_number_ = 0;
  std::vector<std::string> continuations_;
  Sessions silent_, leaving_;
  std::unordered_map<std::string, Sessions::iterator> by_key_;
  std::unordered_set<std::string> ended_early_;  ///< keys of sessions that were handed out before they were over
  std::map<std::string, Host> hosts_;
  bool framed_ = false;
  uint64_t entries_ = 0;
  size_t memory_ = 0;
};

/// Reads all of `in`.
InjectionLogReport analyze_injection_log(std::istream& in, int64_t now_us, const InjectionLogReader::Sink& sink);

}  // namespace smtpscope
