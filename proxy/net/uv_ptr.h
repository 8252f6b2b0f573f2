// RAII for libuv handles: unique ownership, closed on destruction, freed in the close callback. Adopt a handle only
// after its
// *_init succeeded. A callback whose handle->data is null belongs to a closed handle and returns.
#pragma once

#include <uv.h>

#include <memory>

namespace smtpscope {

template <class T>
struct UvClose {
  void operator()(T* handle) const {
    handle->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* closed) { delete reinterpret_cast<T*>(closed); });
  }
};

template <class T>
using UvPtr = std::unique_ptr<T, UvClose<T>>;

/// A timer on `loop`, not started; null if libuv refuses.
inline UvPtr<uv_timer_t> make_timer(uv_loop_t* loop, void* data) {
  auto timer = std::make_unique<uv_timer_t>();
  if (uv_timer_init(loop, timer.get()) != 0) return nullptr;
  timer->data = data;
  return UvPtr<uv_timer_t>(timer.release());
}

/// Watches a socket that is ours to close, after this.
inline UvPtr<uv_poll_t> make_poll(uv_loop_t* loop, int fd, void* data) {
  auto poll = std::make_unique<uv_poll_t>();
  if (uv_poll_init(loop, poll.get(), fd) != 0) return nullptr;
  poll->data = data;
  return UvPtr<uv_poll_t>(poll.release());
}

}  // namespace smtpscope
