// An upgrade: the running process starts the program anew and hands its listening sockets over, so that no connection
// is refused and none that waits in a queue is lost (closing a socket of a SO_REUSEPORT group resets what waits in it).
//
//   running process                                     new process
//   SIGUSR2: Handover::begin()
//     starts it with the sockets, as a sibling --------> Succession::from_environment(), opens all as at any start
//     goes on meanwhile                                  serves: Succession::serves()
//     <------------------------------------------------- "serving"
//   names it to the service manager, "yours" ----------> Succession: from now on it speaks to the manager
//   accepts no more, ends its sessions
//
// If the new one ends or fails before it serves, nothing has changed for the running one. Nor if it hangs: one that has
// not said within kStartMs that it serves is ended, first by SIGTERM, then by SIGKILL. A new one whose predecessor ends
// before the word "yours" has a manager that knows nothing of it and starts a third: so it ends; without a manager it
// stays.
#pragma once

#include <sys/types.h>
#include <uv.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proxy/net/inherited_sockets.h"
#include "proxy/net/socket.h"
#include "proxy/net/uv_ptr.h"
#include "proxy/service/invocation.h"

namespace smtpscope {

/// The running process's side.
class Handover {
 public:
  /// So long a new process may take to serve. A store that is looked through after a crash has been so by this one.
  static constexpr uint64_t kStartMs = 60'000;
  /// And so long to end when it is asked to: what it may have accepted has a moment to finish.
  static constexpr uint64_t kEndMs = 5000;

  Handover(uv_loop_t* loop, Invocation invocation) : loop_(loop), invocation_(std::move(invocation)) {}

  /// Starts the new process. `counts`: a descriptor of what both count in (-1: none). Later calls `serves`, from which
  /// follows a call of yield(), or `failed` once, with what the new process did, as part of a sentence. The error is a
  /// sentence for the operator; then neither is called.
  std::string begin(const std::vector<int>& sockets, int counts, std::function<void()> serves,
                    std::function<void(const std::string& how)> failed);
  bool under_way() const { return static_cast<bool>(channel_); }
  pid_t successor() const { return pid_; }
  /// The new process is in charge.
  void yield();
  /// Ends the new process, if one is on its way.
  void cancel();

 private:
  void on_news();
  void on_limit();
  void fail(const std::string& how);
  void close();

  uv_loop_t* loop_;
  Invocation invocation_;
  std::function<void()> serves_;
  std::function<void(const std::string&)> failed_;
  Fd channel_;
  UvPtr<uv_poll_t> poll_;  // behind channel_: closed before it
  UvPtr<uv_timer_t> limit_;
  pid_t pid_ = 0;
  bool late_ = false;  ///< it was asked to end
};

/// The new process's side.
class Succession {
 public:
  /// Nobody was here before.
  Succession() = default;
  /// What the process before this one left in the environment, which is taken out of it.
  static Succession from_environment();

  bool under_way() const { return static_cast<bool>(channel_); }
  InheritedSockets sockets;
  Fd counts;

  /// Says that this process serves. Later calls `ours` once, with false if the one before ended without a word.
  void serves(uv_loop_t* loop, std::function<void(bool in_charge)> ours);
  void close();

 private:
  void on_news();

  std::function<void(bool)> ours_;
  Fd channel_;
  UvPtr<uv_poll_t> poll_;
};

}  // namespace smtpscope
