// The times of a gateway's log: "Tue Nov 24 02:06:41 2026" of a file, "Nov 24 02:06:41" of syslog (no year: the latest
// that is not in the future, and then on from line to line over the turn of the year), "2026-11-24T02:06:41Z" of newer
// syslog. Local times are the gateway's if the log told its offset from UTC, else of this host (TZ). Whole seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace smtpscope {

struct LogStamp {
  int64_t at_us = 0;       ///< Unix time
  std::string host;        ///< who wrote the line, in syslog; empty in a file
  bool file_form = false;  ///< nothing stands before the time
};

class LogClock {
 public:
  /// `now_us`: no line is later than a day after this.
  explicit LogClock(int64_t now_us) : now_us_(now_us) {}

  void set_utc_offset(int64_t seconds) {
    utc_offset_ = seconds;
    prefix_.clear();
  }
  /// The time in what stands before a line's ICID, which ends in a level ("Info:"); none if there is none. The result
  /// is valid until the next call.
  const LogStamp* read(std::string_view prefix);

 private:
  struct Civil {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  };
  std::optional<int64_t> unix_of(const Civil& civil) const;
  std::optional<int64_t> with_year(Civil civil) const;
  bool parse(std::string_view prefix);

  int64_t now_us_;
  int64_t last_us_ = 0;  ///< of the line before; 0: there was none
  std::optional<int64_t> utc_offset_;
  std::string prefix_;  ///< that stamp_ was read from: lines of one second share it
  LogStamp stamp_;
};

}  // namespace smtpscope
