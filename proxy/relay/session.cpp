#include "proxy/relay/session.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "capture/hex.h"
#include "proxy/net/icmp.h"
#include "proxy/relay/worker.h"

namespace smtpscope {
namespace {

constexpr uint64_t kResetWaitNs = 2'000'000'000;  // how long last bytes may take to leave before a RST follows them
constexpr uint64_t kResetPollMs = 5;
constexpr uint64_t kLateGreetingNs = 1'000'000'000;  // from here on the sender's name is looked up, as a gateway would
constexpr uint64_t kLongSilenceNs = 5'000'000'000;   // from here on the state of both legs is looked at, once
constexpr size_t kMaxSamples = 16;
constexpr int kMaxLastReads = 4;  // of kMaxRead each, from the side that is about to be reset

CloseHow how_of(int error) {
  return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ? CloseHow::timeout : CloseHow::rst;
}

std::string hex(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  return to_hex(canonical.digest);
}

}  // namespace

Session::Session(Worker& worker, uint64_t number, Fd sender, GatewayLeg gateway,
                 std::unique_ptr<CaptureSession> capture)
    : worker_(worker),
      number_(number),
      began_ns_(uv_hrtime()),
      capture_(capture.release()),
      connect_error_(gateway.fd < 0 ? -gateway.fd : 0),
      gateway_is_v6_(gateway.v6),
      last_news_ns_(began_ns_) {
  legs_[0].fd = std::move(sender);
  legs_[1].fd = Fd(std::max(gateway.fd, -1));
  legs_[1].connecting = true;
  if (!gateway.lead.empty()) lead_ = std::make_unique<std::string>(std::move(gateway.lead));
}

Session::~Session() = default;

int64_t Session::now_us() const { return static_cast<int64_t>((uv_hrtime() - began_ns_) / 1000); }

void Session::start() {
  if (capture_ != nullptr) record(BatchRecord::Type::opened, From::sender);
  if (connect_error_ != 0) return connect_failed(connect_error_);
  if (const uint64_t limit = worker_.connect_timeout_ms(); limit > 0) {
    timer_ = make_timer(worker_.loop(), this);
    if (timer_)
      uv_timer_start(
          timer_.get(),
          [](uv_timer_t* t) {
            if (t->data) static_cast<Session*>(t->data)->connect_failed(ETIMEDOUT);
          },
          limit, 0);
  }
  for (Leg& leg : legs_) want(leg);
}

// ------------------------------------------------------------------ events

void Session::want(Leg& leg) {
  if (over_ || &leg == gone_) return;
  uint32_t events = 0;
  if (!leg.ended && !leg.connecting && other(leg).queue == nullptr && resetting_ == nullptr) events |= EPOLLIN;
  if (leg.connecting || leg.queue != nullptr) events |= EPOLLOUT;
  // A leg that is not read is still watched for its reset; one that has ended both ways would report that without end.
  if (events == 0 && (leg.hung_up || (leg.ended && leg.fin_sent))) return unwatch(leg);
  if (leg.watched && events == leg.wanted) return;
  leg.wanted = events;
  if (leg.watched) return worker_.poller().change(leg.fd.get(), events, key(leg));
  leg.watched = worker_.poller().watch(leg.fd.get(), events, key(leg));
  if (!leg.watched) stop("no-memory");
}

void Session::unwatch(Leg& leg) {
  if (std::exchange(leg.watched, false)) worker_.poller().forget(leg.fd.get());
}

void Session::on_ready(uint64_t key, uint32_t events) {
  Leg& ready = legs_[key % 2];
  if (ready.watched) on_event(ready, events);
}

void Session::on_event(Leg& leg, uint32_t events) {
  if (over_) return;
  const bool failed = (events & EPOLLERR) != 0;
  if ((events & EPOLLHUP) != 0 && !failed) leg.hung_up = true;
  if (leg.connecting) {
    on_connected(leg, failed || (events & EPOLLHUP) != 0 ? socket_error(leg.fd.get()) : 0);
  } else {
    if ((events & EPOLLOUT) != 0 && leg.queue != nullptr && !write_queue(leg)) return;
    if (failed) {
      if (resetting_ != nullptr) return finish();
      int reads = 0;
      Read result = Read::more;
      while (result == Read::more && reads++ < kMaxLastReads) result = read(leg, true);
      if (!over_ && result != Read::stop) on_reset(leg, socket_error(leg.fd.get()));
    } else if ((events & (EPOLLIN | EPOLLHUP)) != 0 && (leg.wanted & EPOLLIN) != 0 && resetting_ == nullptr) {
      read(leg, true);
    }
  }
  if (over_) return;
  if (resetting_ != nullptr) reset_when_sent();
  for (Leg& each : legs_) want(each);
}

void Session::on_connected(Leg& gateway, int error) {
  // A connection that was made and reset before we looked: what the gateway said until then still counts.
  const bool reset = error == ECONNRESET || error == EPIPE;
  if (error != 0 && !reset) return connect_failed(error);
  gateway.connecting = false;
  hear_icmp(gateway.fd.get(), gateway_is_v6_, false);
  timer_.reset();
  if (capture_ != nullptr) {
    const int64_t at = now_us();
    capture_->connect = std::make_unique<GatewayConnect>(GatewayConnect{GatewayConnect::State::connected, at, at, {}});
    record(BatchRecord::Type::connected, From::gateway);
  }
  if (lead_ != nullptr) {
    if (gateway.queue != nullptr) lead_->append(*gateway.queue);
    gateway.queue = std::move(lead_);
  }
  if (reset) return on_reset(gateway, error);
  if (gateway.queue != nullptr && !write_queue(gateway)) return;
  if (other(gateway).ended && gateway.queue == nullptr) pass_end(gateway);
}

void Session::connect_failed(int error) {
  if (over_) return;
  if (capture_ != nullptr) {
    const int64_t at = now_us();
    capture_->connect = std::make_unique<GatewayConnect>(
        GatewayConnect{GatewayConnect::State::failed, at, at, errno_name(error), icmp_error_of(legs_[1].fd.get())});
    record(BatchRecord::Type::connected, From::gateway);
  }
  RelayMetrics::add(worker_.metrics().gateway_failed);
  reset_on_close(legs_[0].fd.get());
  finish();
}

// ------------------------------------------------------------------ bytes

Session::Read Session::read(Leg& leg, bool forward_bytes) {
  char* const space = worker_.read_space();
  const ssize_t n = recv(leg.fd.get(), space, Batch::kMaxRead, 0);
  if (n > 0) {
    const auto size = static_cast<size_t>(n);
    const bool passed = !forward_bytes || forward(other(leg), space, size);
    record_data(leg, size);
    if (!passed) {
      on_reset(other(leg), ECONNRESET);
      return Read::stop;
    }
    return size == Batch::kMaxRead || !forward_bytes ? Read::more : Read::blocked;
  }
  if (n == 0) {
    if (leg.ended) return Read::blocked;
    leg.ended = true;
    record(BatchRecord::Type::closed, from(leg), 0, CloseHow::fin);
    if (!forward_bytes) return Read::blocked;
    Leg& to = other(leg);
    if (to.queue == nullptr && !to.connecting) pass_end(to);
    return over_ ? Read::stop : Read::blocked;
  }
  if (errno == EAGAIN || errno == EINTR) return Read::blocked;
  if (forward_bytes) on_reset(leg, errno);
  return Read::stop;
}

bool Session::forward(Leg& to, const char* bytes, size_t size) {
  if (to.queue == nullptr && !to.connecting) {
    while (size > 0) {
      const ssize_t n = send(to.fd.get(), bytes, size, MSG_NOSIGNAL);
      if (n > 0) {
        bytes += n;
        size -= static_cast<size_t>(n);
      } else if (n < 0 && errno == EAGAIN) {
        break;
      } else if (n < 0 && errno != EINTR) {
        return false;
      }
    }
  }
  if (size == 0) return true;
  if (to.queue == nullptr) to.queue = std::make_unique<std::string>();
  to.queue->append(bytes, size);
  return true;
}

bool Session::write_queue(Leg& leg) {
  const std::unique_ptr<std::string> waiting = std::move(leg.queue);
  if (!forward(leg, waiting->data(), waiting->size())) {
    if (resetting_ != nullptr)
      finish();
    else
      on_reset(leg, ECONNRESET);
    return false;
  }
  if (leg.queue == nullptr && other(leg).ended && resetting_ == nullptr) pass_end(leg);
  return !over_;
}

void Session::pass_end(Leg& to) {
  // The second FIN is sent by close(): both sides have ended, so nothing unread turns it into a RST.
  if (other(to).fin_sent) return finish();
  if (!std::exchange(to.fin_sent, true)) shutdown(to.fd.get(), SHUT_WR);
}

// ------------------------------------------------------------------ ends

void Session::on_reset(Leg& leg, int error) {
  if (over_) return;
  if (resetting_ != nullptr) return finish();
  Leg& peer = other(leg);
  unwatch(leg);
  gone_ = &leg;
  // What it had sent before the reset still goes out.
  for (int i = 0; i < kMaxLastReads && !leg.ended && read_last(leg) > 0; ++i) {
  }
  record(BatchRecord::Type::closed, from(leg), 0, how_of(error == 0 ? ECONNRESET : error));
  leg.ended = true;
  leg.queue.reset();
  // What the peer had said already is evidence, though it cannot be delivered any more.
  if (!peer.connecting)
    for (int i = 0; i < kMaxLastReads && read(peer, false) == Read::more; ++i) {
    }
  resetting_ = &peer;
  reset_when_sent();
}

ssize_t Session::read_last(Leg& leg) {
  char* const space = worker_.read_space();
  const ssize_t n = recv(leg.fd.get(), space, Batch::kMaxRead, MSG_DONTWAIT);
  if (n <= 0) return n;
  const bool passed = forward(other(leg), space, static_cast<size_t>(n));
  record_data(leg, static_cast<size_t>(n));
  return passed ? n : -1;
}

/// RST would overtake bytes that the kernel has not sent yet: wait for them a little.
void Session::reset_when_sent() {
  Leg& leg = *resetting_;
  const uint64_t now = uv_hrtime();
  if (reset_deadline_ns_ == 0) reset_deadline_ns_ = now + kResetWaitNs;
  const bool waiting = (leg.queue != nullptr || unsent_bytes(leg.fd.get()) > 0) && !leg.connecting;
  if (!waiting || now >= reset_deadline_ns_) {
    reset_on_close(leg.fd.get());
    return finish();
  }
  if (timer_) return;
  timer_ = make_timer(worker_.loop(), this);
  if (!timer_) return finish();
  uv_timer_start(
      timer_.get(),
      [](uv_timer_t* t) {
        if (t->data) static_cast<Session*>(t->data)->reset_when_sent();
      },
      kResetPollMs, kResetPollMs);
  want(leg);
}

void Session::stop(const char* cause) {
  if (!over_ && legs_[1].connecting && is_connected(legs_[1].fd.get())) on_connected(legs_[1], 0);  // not told yet
  if (over_) return;
  if (resetting_ != nullptr) {  // a RST is due already; it waits no longer
    reset_on_close(resetting_->fd.get());
    return finish();
  }
  // Bytes that nobody has read would make close() send RST, and what was read is handed on as far as it is taken.
  for (Leg& leg : legs_) {
    if (leg.connecting || leg.ended) continue;
    ssize_t n = 1;
    for (int i = 0; i < kMaxLastReads && n > 0; ++i) n = read_last(leg);
    if (n == 0) record(BatchRecord::Type::closed, from(leg), 0, CloseHow::fin);
  }
  CloseHow how = CloseHow::fin;
  for (Leg& leg : legs_) {
    if (leg.connecting) continue;
    if (const auto waiting = std::move(leg.queue)) forward(leg, waiting->data(), waiting->size());
    if (leg.queue != nullptr) {  // FIN would say that this was all
      reset_on_close(leg.fd.get());
      how = CloseHow::rst;
    } else if (!leg.fin_sent) {
      shutdown(leg.fd.get(), SHUT_WR);
    }
  }
  record(BatchRecord::Type::closed, From::proxy, 0, how);
  if (capture_ != nullptr) {
    capture_->end = std::make_unique<SessionEnd>();
    capture_->end->proxy_cause = cause;
  }
  finish();
}

void Session::finish() {
  if (over_) return;
  over_ = true;
  if (capture_ != nullptr) {
    if (!capture_->end) capture_->end = std::make_unique<SessionEnd>();
    SessionEnd& end = *capture_->end;
    end.at_us = now_us();
    for (Leg& leg : legs_) {
      record_lost(leg);
      StreamTotals& totals = &leg == &legs_[0] ? end.sender_stream : end.gateway_stream;
      totals.bytes = leg.bytes;
      totals.xxh128 = hex(leg.hash ? XXH3_128bits_digest(leg.hash->state) : XXH3_128bits(nullptr, 0));
      if (!leg.connecting) (&leg == &legs_[0] ? end.sender_leg : end.gateway_leg) = transport_of(leg.fd.get());
    }
    if (evidence_) {
      end.samples = std::move(evidence_->samples);
      if (evidence_->name) end.ptr = ReverseDns::facts(*evidence_->name);
    }
    record(BatchRecord::Type::ended, From::proxy);
    capture_ = nullptr;
  }
  RelayMetrics& metrics = worker_.metrics();
  RelayMetrics::add(metrics.sessions_ended);
  RelayMetrics::add(metrics.sender_bytes, legs_[0].bytes);
  RelayMetrics::add(metrics.gateway_bytes, legs_[1].bytes);
  timer_.reset();
  for (Leg& leg : legs_) {
    leg.watched = false;
    leg.fd.reset();
    leg.queue.reset();
  }
  worker_.retire(number_);
}

// ------------------------------------------------------------------ evidence

void Session::look_around() {
  if (over_) return;
  if (!std::exchange(kept_alive_, true)) keep_alive(legs_[1].fd.get());
  if (capture_ == nullptr || legs_[1].connecting) return;
  const uint64_t now = uv_hrtime();
  const bool greeting_late = legs_[1].bytes == 0 && now - began_ns_ >= kLateGreetingNs;
  const bool silent = now - last_news_ns_ >= kLongSilenceNs;
  if (!greeting_late && !silent) return;
  if (!evidence_) evidence_ = std::make_unique<Evidence>();
  if (greeting_late && !evidence_->name)
    evidence_->name = worker_.look_up(named_ ? *named_ : peer_of(legs_[0].fd.get()).ip);
  if (silent && evidence_->sampled_ns < last_news_ns_ && evidence_->samples.size() < kMaxSamples) {
    evidence_->sampled_ns = now;
    evidence_->samples.push_back({now_us(), transport_of(legs_[0].fd.get()), transport_of(legs_[1].fd.get())});
  }
}

// ------------------------------------------------------------------ recording

void Session::record(BatchRecord::Type type, From from, uint64_t length, CloseHow how) {
  if (capture_ == nullptr) return;
  if (type == BatchRecord::Type::closed) last_news_ns_ = uv_hrtime();
  worker_.append({capture_, now_us(), 0, length, type, from, how});
}

void Session::record_data(Leg& leg, size_t size) {
  leg.bytes += size;
  if (capture_ == nullptr) return;
  last_news_ns_ = uv_hrtime();
  if (!leg.hash) leg.hash = std::make_unique<Hash>();
  XXH3_128bits_update(leg.hash->state, worker_.read_space(), size);
  if (worker_.overloaded()) {
    leg.lost += size;
    return;
  }
  if (leg.lost > 0) {  // the record of the loss goes first, so the bytes make room for it
    const std::string bytes(worker_.read_space(), size);
    record_lost(leg, size);
    std::memcpy(worker_.read_space(), bytes.data(), size);
  }
  const auto at_us = static_cast<int64_t>((last_news_ns_ - began_ns_) / 1000);
  worker_.append({capture_, at_us, 0, size, BatchRecord::Type::data, from(leg), CloseHow::fin});
}

void Session::record_lost(Leg& leg, uint64_t behind) {
  if (leg.lost == 0) return;
  const BatchRecord lost{capture_,  now_us(),     leg.bytes - behind - leg.lost, leg.lost, BatchRecord::Type::lost,
                         from(leg), CloseHow::fin};
  leg.lost = 0;
  worker_.append(lost);
}

}  // namespace smtpscope
