// A debug window as it is shown: to programs as JSON, to people as text, in the log as a line. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "capture/store/debug_windows.h"
#include "capture/store/window_log.h"

namespace smtpscope {

/// All that is known of it at one moment.
struct WindowFacts {
  StoredWindow stored;
  int64_t now_us = 0;
  uint64_t in_progress = 0;  ///< sessions of a living process that go on
  bool live = false;         ///< a process has it open now
  /// When the proxy listened while it was open, as far as that is certain; in order. Nothing is said of who did not
  /// come outside of it.
  std::vector<std::pair<int64_t, int64_t>> listened;
  std::string store;  ///< that `show` has to be told; empty: it finds it
};

/// The stretches in which windows.log proves that a window was open and the proxy listened, cut to this time. The
/// configuration's own does not stand there under its name: it is of one run.
std::vector<std::pair<int64_t, int64_t>> listened_spans(const std::vector<RecordingWindow>& log,
                                                        const StoredWindow& stored, int64_t now_us);

/// Entries of its senders from which nobody came, as far as that can be said: by address, not excluded whole, and not
/// when the proxy never listened.
std::vector<std::string> absent_entries(const WindowFacts& facts);

/// In words, of StoredWindow::ended_by: "it was closed".
std::string cause_words(const std::string& ended_by);

/// An object of smtpscope.debug-window/1 (docs/WINDOWS.md).
nlohmann::ordered_json window_json(const WindowFacts& facts);

/// "window 3 is over (its time is): 5 sessions: 3 delivered, 2 broke; most often rcpt-unknown-user (2); ..."
std::string window_line(const WindowFacts& facts);

/// Some lines of text, from what window_json() made. Fit for a terminal, whatever is in it.
std::string window_text(const nlohmann::ordered_json& window);

}  // namespace smtpscope
