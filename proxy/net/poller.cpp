#include "proxy/net/poller.h"

#include <array>
#include <stdexcept>

namespace smtpscope {
namespace {

constexpr uint64_t kLoop = UINT64_MAX;  // the key of libuv's
constexpr int kEventsAtOnce = 256;      // what is left is told in the next round

int control(int set, int operation, int fd, uint32_t events, uint64_t key) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = key;
  return epoll_ctl(set, operation, fd, &event);
}

[[noreturn]] void refuse() { throw std::runtime_error("no event loop: out of descriptors or memory"); }

}  // namespace

Poller::Poller(Callback callback, void* owner)
    : callback_(callback), owner_(owner), set_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!set_) refuse();
}

void Poller::watched_by(uv_loop_t* loop) {
  handle_ = make_poll(loop, set_.get(), this);
  if (!handle_) refuse();
  uv_poll_start(handle_.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
    if (handle->data != nullptr) static_cast<Poller*>(handle->data)->wait(0);
  });
}

void Poller::watch_loop(const uv_loop_t* loop) {
  if (!watch(uv_backend_fd(loop), EPOLLIN, kLoop)) refuse();
}

bool Poller::watch(int fd, uint32_t events, uint64_t key) {
  return control(set_.get(), EPOLL_CTL_ADD, fd, events, key) == 0;
}

void Poller::change(int fd, uint32_t events, uint64_t key) { control(set_.get(), EPOLL_CTL_MOD, fd, events, key); }

void Poller::forget(int fd) { control(set_.get(), EPOLL_CTL_DEL, fd, 0, 0); }

bool Poller::wait(int timeout_ms) {
  std::array<epoll_event, kEventsAtOnce> events;
  const int n = epoll_wait(set_.get(), events.data(), kEventsAtOnce, timeout_ms);
  const Callback callback = callback_;  // a callback may end this
  void* const owner = owner_;
  bool loop_ready = n == 0;
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.u64 == kLoop)
      loop_ready = true;
    else
      callback(owner, event.data.u64, event.events);
  }
  return loop_ready;
}

}  // namespace smtpscope
