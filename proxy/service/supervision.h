// The running proxy as its service manager sees it: ready, alive, what it is at, stopping, replaced. All on the main
// loop; a sign of life goes out only while every worker's loop gives one too.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proxy/net/uv_ptr.h"
#include "proxy/service/loop_watch.h"
#include "proxy/service/notify.h"

namespace smtpscope {

class Supervision {
 public:
  /// `status`: one line on what the proxy is at.
  Supervision(std::vector<const Pulse*> loops, Notifier notifier, std::function<std::string()> status);

  /// Begins to look. `serving` is called once, when all loops have given their first sign of life.
  void start(uv_loop_t* loop, std::function<void()> serving);
  /// From now on the manager is told. (Until then it would not listen: a process that replaces another one is nobody
  /// to it at first.)
  void take_charge();
  void reloading();
  void reloaded();
  void stopping();
  /// Names the process that takes over. This one says no more.
  void hand_over(pid_t successor);
  /// Of a loop that hangs; empty if none does.
  std::string trouble() const { return watch_.trouble(); }
  bool has_manager() const { return notifier_.has_manager(); }
  void close() { timer_.reset(); }

 private:
  void turn();
  void tell(const std::string& lines);

  LoopWatch watch_;
  Notifier notifier_;
  std::function<std::string()> status_;
  std::function<void()> serving_;
  UvPtr<uv_timer_t> timer_;
  std::string told_status_;
  uint64_t beat_ms_ = 0, status_ms_ = 0;  ///< when told last
  bool in_charge_ = false, ready_ = false, trouble_said_ = false, alone_said_ = false;
};

}  // namespace smtpscope
