// Readiness of many sockets beside a libuv loop: an epoll set of our own. Either the loop watches the set as one
// descriptor (watched_by), or, where every system call counts, the set watches the loop (wait).
//
// Why not a uv_poll_t a socket: libuv 1.44 spends two epoll_ctl calls and an ioctl to make one, two more for each
// change of what is wanted, and hides the events behind UV_EBADF when a socket has an error. Where a system call is
// dear this was a third of a session's cost. Errors and hang-ups are always told, also when nothing is wanted.
#pragma once

#include <sys/epoll.h>
#include <uv.h>

#include <cstdint>

#include "proxy/net/socket.h"
#include "proxy/net/uv_ptr.h"

namespace smtpscope {

class Poller {
 public:
  /// `callback` gets the pointer given to watch() and EPOLL* bits. Within one round it may still be called for a socket
  /// that was forgotten or closed in that round: what the pointer names must outlive the round.
  using Callback = void (*)(void* watched, uint32_t events);

  /// Throws std::runtime_error if the system has no descriptor or memory for it.
  explicit Poller(Callback callback);
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// False if the system refuses. A socket that is closed is forgotten by itself.
  bool watch(int fd, uint32_t events, void* watched);
  void change(int fd, uint32_t events, void* watched);
  void forget(int fd);

  /// From now on the loop calls back. Throws as the constructor does.
  void watched_by(uv_loop_t* loop);

  /// From now on wait() tells of the loop, too. Throws as the constructor does.
  void watch_loop(const uv_loop_t* loop);
  /// Waits for at most `timeout_ms` (-1: without end) and calls back. True if uv_run() has something to do: one of the
  /// loop's descriptors is ready, or the time is over.
  bool wait(int timeout_ms);

 private:
  Callback callback_;
  Fd set_;
  UvPtr<uv_poll_t> handle_;  // behind set_: closed before it
};

}  // namespace smtpscope
