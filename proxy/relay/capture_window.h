// An open debug window as workers and recorders see it: how many sessions it still takes, and until when; and what came
// of those it took. Shared by all threads; a session counts in it until its end, however the window ended meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "capture/store/debug_windows.h"
#include "config/sender_spec.h"

namespace smtpscope {

class CaptureWindow {
 public:
  /// Entries of `senders` of which it is known whether somebody came; those behind are not looked at.
  static constexpr size_t kMostJudged = 1000;

  /// `before`: what other runs of the proxy counted. `file`: where the count is kept; null: nowhere. `taken`: the
  /// sessions of all runs, if another process may count them as well.
  CaptureWindow(DebugWindow terms, WindowTally before, std::unique_ptr<TallyFile> file,
                std::shared_ptr<std::atomic<uint64_t>> taken = nullptr);
  const DebugWindow& terms() const { return terms_; }

  // ---- Workers, once a connection; no locks.

  /// Counts a session that begins now; false if the window is over.
  bool enter();
  bool over() const;

  // ---- The main loop.

  /// From now on it takes no more; `by` as in StoredWindow::ended_by, a literal.
  void close(const char* by);
  struct End {
    const char* by;
    int64_t at_us;  ///< Unix time
  };
  /// Why and when it was over; none: it is not.
  std::optional<End> end() const;
  /// `connections`: what the proxy took from anybody while it was open, in this run.
  void saw(uint64_t connections);
  /// What other runs have counted by now.
  void others(WindowTally tally);
  /// Of all runs; sessions as they were admitted.
  WindowTally tally() const;
  /// Sessions that this run has admitted.
  uint64_t admitted() const { return admitted_.load(); }
  /// Those of them that go on.
  uint64_t in_progress() const;

  // ---- Recorders.

  void began(const std::string& ip);
  /// `code`: of the breakdown; empty: none.
  void ended(const std::string& id, Verdict verdict, const std::string& code);
  /// Keeps the count if it has changed, or `anyway`. The first failure of several is told. Waits for the disk.
  struct Saved {
    bool ok = true;
    std::error_code news{};
  };
  Saved save(bool anyway = false);

 private:
  bool timed_out() const;
  bool full() const { return terms_.sessions != 0 && taken_->load() >= terms_.sessions; }

  const DebugWindow terms_;
  const std::shared_ptr<std::atomic<uint64_t>> taken_;   ///< sessions of all runs
  const uint64_t deadline_ns_;                           ///< uv_hrtime(); 0: none
  std::vector<std::pair<uint32_t, SenderSpec>> judged_;  ///< index of the entry
  std::atomic<uint64_t> admitted_{0};                    ///< in this run; at times one that is turned away after all
  std::atomic<int64_t> full_us_{0}, closed_us_{0};       ///< when, Unix time
  std::atomic<const char*> closed_by_{nullptr};          ///< null: not closed

  mutable std::mutex mutex_;    ///< of what follows; never held while something is written
  WindowTally others_, tally_;  ///< of other runs, and of this one
  bool dirty_ = false;

  std::mutex file_mutex_;  ///< of what follows; locked before mutex_
  std::unique_ptr<TallyFile> file_;
  bool failing_ = false;
};

}  // namespace smtpscope
