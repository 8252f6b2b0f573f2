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
      poller_(
          [](void* room, uint64_t key, uint32_t) {
            auto& self = *static_cast<HeaderWait*>(room);
            if (const Place place = self.waiting_.find(key); place != self.waiting_.end()) self.read(place);
          },
          this),
      timer_(make_timer(loop, this)) {
  poller_.watched_by(loop);
}

void HeaderWait::take(Fd fd, Endpoint peer, uint64_t timeout_ms) {
  if (!poller_.watch(fd.get(), EPOLLIN, next_key_)) return;
  waiting_.emplace(next_key_++, Waiting{std::move(fd), std::move(peer), uv_hrtime() + timeout_ms * 1'000'000});
  if (!uv_is_active(reinterpret_cast<uv_handle_t*>(timer_.get()))) start_timer();
}

void HeaderWait::read(Place place) {
  Waiting& waiting = place->second;
  std::array<char, kMaxHeader> space;
  const size_t room = kMaxHeader - waiting.bytes.size();
  const ssize_t n = recv(waiting.fd.get(), space.data(), room, MSG_PEEK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    const bool silent = waiting.bytes.empty();
    return refuse(place, silent ? HeaderRefusals::Why::closed : HeaderRefusals::Why::malformed,
                  "it left in the middle of its PROXY header");
  }
  const size_t before = waiting.bytes.size();
  waiting.bytes.append(space.data(), static_cast<size_t>(n));
  const ProxyHeader header = parse_proxy_header(waiting.bytes);
  switch (header.state) {
    case ProxyHeader::State::incomplete:
      return consume(waiting.fd.get(), space.data(), static_cast<size_t>(n));
    case ProxyHeader::State::malformed:
      return refuse(place, HeaderRefusals::Why::malformed,
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
  hand_on(place, std::move(incoming));
}

void HeaderWait::hand_on(Place place, Incoming incoming) {
  poller_.forget(place->second.fd.get());
  incoming.fd = std::move(place->second.fd);
  waiting_.erase(place);
  if (!worker_.begin(incoming)) parked_.push_back(std::move(incoming));
}

bool HeaderWait::retry() {
  while (!parked_.empty()) {
    if (!worker_.begin(parked_.front())) return false;
    parked_.pop_front();
  }
  return true;
}

void HeaderWait::refuse(Place place, HeaderRefusals::Why why, std::string_view detail) {
  worker_.refuse(why, place->second.peer.ip, detail);
  waiting_.erase(place);
  worker_.may_be_done();
}

void HeaderWait::close_late() {
  const uint64_t now = uv_hrtime();
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const Waiting& waiting = it->second;
    if (waiting.deadline_ns > now) {
      ++it;
      continue;
    }
    worker_.refuse(HeaderRefusals::Why::late, waiting.peer.ip,
                   waiting.bytes.empty() ? "no PROXY header came" : "its PROXY header did not come whole in time");
    it = waiting_.erase(it);
  }
  if (!waiting_.empty()) return start_timer();
  worker_.may_be_done();
}

void HeaderWait::start_timer() {
  const auto first = std::min_element(waiting_.begin(), waiting_.end(), [](const auto& a, const auto& b) {
    return a.second.deadline_ns < b.second.deadline_ns;
  });
  if (first == waiting_.end()) return;
  const uint64_t now = uv_hrtime();
  const uint64_t left_ms = first->second.deadline_ns > now ? (first->second.deadline_ns - now) / 1'000'000 + 1 : 0;
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
