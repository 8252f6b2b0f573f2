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
  /// `callback` gets the owner, the key given to watch() and EPOLL* bits. A key may still come up once its socket was
  /// forgotten (in the same round) or closed (as long as another process has a copy of it, as a new one has until it is
  /// executed): so it is a number that never names another socket, and no pointer.
  using Callback = void (*)(void* owner, uint64_t key, uint32_t events);

  /// Throws std::runtime_error if the system has no descriptor or memory for it.
  Poller(Callback callback, void* owner);
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// False if the system refuses. `key`: any number but the highest.
  bool watch(int fd, uint32_t events, uint64_t key);
  void change(int fd, uint32_t events, uint64_t key);
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
  void* owner_;
  Fd set_;
  UvPtr<uv_poll_t> handle_;  // behind set_: closed before it
};

}  // namespace smtpscope
