#include "proxy/relay/header_wait.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "proxy/net/proxy_protocol.h"
#include "proxy/relay/worker.h"

namespace smtpscope {
namespace {

constexpr size_t kMaxHeader = 16 + kMaxProxyV2Body;
constexpr uint64_t kLeastWaitMs = 20;  // between two looks for what is late

/// Takes bytes off the stream that were peeked at before.
void consume(int fd, char* space, size_t size) {
  while (size > 0) {
    const ssize_t n = recv(fd, space, size, 0);
    if (n <= 0 && errno != EINTR) return;
    if (n > 0) size -= static_cast<size_t>(n);
  }
}

}  // namespace

HeaderWait::HeaderWait(Worker& worker, uv_loop_t* loop)
    : worker_(worker),
      poller_([](void* watched, uint32_t) {
        auto& waiting = *static_cast<Waiting*>(watched);
        waiting.room->read(waiting);
      }),
      timer_(make_timer(loop, this)) {
  poller_.watched_by(loop);
}

void HeaderWait::take(Fd fd, Endpoint peer, uint64_t timeout_ms) {
  Waiting& waiting = waiting_.emplace_back(
      Waiting{this, std::move(fd), std::move(peer), uv_hrtime() + timeout_ms * 1'000'000, {}, {}});
  waiting.self = std::prev(waiting_.end());
  if (!poller_.watch(waiting.fd.get(), EPOLLIN, &waiting)) {
    waiting_.pop_back();
    return;
  }
  if (!uv_is_active(reinterpret_cast<uv_handle_t*>(timer_.get()))) start_timer();
}

void HeaderWait::read(Waiting& waiting) {
  std::array<char, kMaxHeader> space;
  const size_t room = kMaxHeader - waiting.bytes.size();
  const ssize_t n = recv(waiting.fd.get(), space.data(), room, MSG_PEEK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    const bool silent = waiting.bytes.empty();
    return refuse(waiting, silent ? HeaderRefusals::Why::closed : HeaderRefusals::Why::malformed,
                  "it left in the middle of its PROXY header");
  }
  const size_t before = waiting.bytes.size();
  waiting.bytes.append(space.data(), static_cast<size_t>(n));
  const ProxyHeader header = parse_proxy_header(waiting.bytes);
  switch (header.state) {
    case ProxyHeader::State::incomplete:
      return consume(waiting.fd.get(), space.data(), static_cast<size_t>(n));
    case ProxyHeader::State::malformed:
      return refuse(waiting, HeaderRefusals::Why::malformed,
                    fmt::format("its PROXY header is malformed: {}", header.problem));
    case ProxyHeader::State::complete:
      break;
  }
  consume(waiting.fd.get(), space.data(), header.size - before);
  Incoming incoming;
  incoming.sender = waiting.peer;
  if (header.names_ends) {
    incoming.via = std::move(waiting.peer);
    incoming.sender = header.source;
    incoming.destination = header.destination;
  }
  hand_on(waiting, std::move(incoming));
}

void HeaderWait::hand_on(Waiting& waiting, Incoming incoming) {
  poller_.forget(waiting.fd.get());
  incoming.fd = std::move(waiting.fd);
  waiting_.erase(waiting.self);
  if (worker_.begin(incoming)) return;  // and this may be gone
  parked_.push_back(std::move(incoming));
}

bool HeaderWait::retry() {
  while (!parked_.empty()) {
    Incoming incoming = std::move(parked_.front());
    parked_.pop_front();
    const bool last = parked_.empty();
    if (!worker_.begin(incoming)) {
      parked_.push_front(std::move(incoming));
      return false;
    }
    if (last) break;  // this may be gone
  }
  return true;
}

void HeaderWait::refuse(Waiting& waiting, HeaderRefusals::Why why, std::string_view detail) {
  worker_.refuse(why, waiting.peer.ip, detail);
  waiting_.erase(waiting.self);
  worker_.stop_if_done();  // and this may be gone
}

void HeaderWait::close_late() {
  const uint64_t now = uv_hrtime();
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (it->deadline_ns > now) {
      ++it;
      continue;
    }
    worker_.refuse(HeaderRefusals::Why::late, it->peer.ip,
                   it->bytes.empty() ? "no PROXY header came" : "its PROXY header did not come whole in time");
    it = waiting_.erase(it);
  }
  if (!waiting_.empty()) return start_timer();
  worker_.stop_if_done();
}

void HeaderWait::start_timer() {
  const auto first = std::min_element(waiting_.begin(), waiting_.end(),
                                      [](const Waiting& a, const Waiting& b) { return a.deadline_ns < b.deadline_ns; });
  if (first == waiting_.end()) return;
  const uint64_t now = uv_hrtime();
  const uint64_t left_ms = first->deadline_ns > now ? (first->deadline_ns - now) / 1'000'000 + 1 : 0;
  uv_timer_start(
      timer_.get(),
      [](uv_timer_t* t) {
        if (t->data) static_cast<HeaderWait*>(t->data)->close_late();
      },
      std::max(left_ms, kLeastWaitMs), 0);
}

void HeaderWait::end() {
  waiting_.clear();
  parked_.clear();
}

}  // namespace smtpscope
