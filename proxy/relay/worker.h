// One thread, one libuv loop: its listeners, its sessions. Nothing of a worker is touched by another thread but the
// requests posted to it (stop accepting, end now).
#pragma once

#include <uv.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "config/sender_filter.h"
#include "config/settings.h"
#include "proxy/net/poller.h"
#include "proxy/net/reverse_dns.h"
#include "proxy/net/socket.h"
#include "proxy/net/uv_ptr.h"
#include "proxy/relay/batch.h"
#include "proxy/relay/capture_gate.h"
#include "proxy/relay/header_refusals.h"
#include "proxy/relay/header_wait.h"
#include "proxy/relay/incoming.h"
#include "proxy/relay/listeners.h"
#include "proxy/relay/pulse.h"
#include "proxy/relay/relay_metrics.h"
#include "proxy/relay/session.h"
#include "proxy/relay/undecided.h"

namespace smtpscope {

/// What all workers share: one configuration and what comes of it, immutable, and what lives as long as the proxy (the
/// gate, the refusals). A reload makes another one.
struct RelayContext {
  std::shared_ptr<const Settings> settings;  ///< the same until a reload, whatever windows come and go
  Address gateway;                           ///< of connections that were not diverted on their way to one
  std::string instance;                      ///< ULID of this run
  std::vector<CaptureGate::Open> windows;    ///< in which sessions are captured, the configuration's first
  bool names_decide = false;                 ///< in some of them, on some senders
  std::shared_ptr<CaptureGate> gate;
  std::vector<SenderFilter> trusted;  ///< of each of settings.listeners: whose PROXY header is believed
  std::shared_ptr<HeaderRefusals> refusals;
  std::shared_ptr<RelayMetrics> metrics;
};

class Worker {
 public:
  /// Takes over listening sockets; `queue` leads to its recorder. Throws std::runtime_error if libuv has no loop to
  /// give.
  Worker(std::shared_ptr<const RelayContext> context, std::vector<ListeningSocket> listeners, BatchQueue& queue);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();
  /// From any thread. What is accepted from now on follows this context; its listeners are those of the one before.
  void reconfigure(std::shared_ptr<const RelayContext> context);
  /// From any thread. Accepts what waits, then no more; ends once the last session has ended.
  void drain();
  /// From any thread. Ends all sessions at once; `cause` is a literal and stands in their transcripts.
  void end_now(const char* cause);
  /// Waits for the thread.
  void join();
  bool done() const { return done_.load(); }
  /// From any thread.
  const Pulse& pulse() const { return pulse_; }
  /// From the thread that calls drain(), before it does: until then they do not change.
  std::vector<int> listening_sockets() const;

  // For sessions and what waits to become one, on the loop's thread.
  uv_loop_t* loop() { return &loop_; }
  Poller& poller() { return *poller_; }
  uint64_t connect_timeout_ms() const { return context_->settings->gateway.connect_timeout_ms; }
  /// Where recv() puts up to Batch::kMaxRead bytes; valid until the next append() or read_space().
  char* read_space();
  void append(const BatchRecord& record);
  /// A reverse look-up of an address; null if there is none to be had.
  std::shared_ptr<const ReverseDns::LookUp> look_up(const std::string& ip);
  RelayMetrics& metrics() { return *context_->metrics; }
  bool overloaded() const { return queue_.overloaded(); }
  void retire(uint64_t number);
  /// Keeps or forgets a session that was undecided.
  void decide(uint64_t number, CaptureSession* capture, const IpAddress& ip, const ConfirmedNames& names,
              const RelayContext& context);
  /// Makes a session of it. False if descriptors ran out: accepting pauses, and `incoming` is as it was.
  bool begin(Incoming& incoming);
  /// Counts a connection that is closed for its PROXY header, and tells.
  void refuse(HeaderRefusals::Why why, const std::string& ip, std::string_view detail);
  /// Something has ended. The loop ends in a turn of its own if nothing is accepted any more and nothing is left:
  /// whoever says this may be in the middle of a callback.
  void may_be_done() {
    if (!accepting_) wake();
  }

 private:
  struct Listener {
    Worker* worker = nullptr;
    size_t index = 0;  ///< into settings.listeners
    Fd fd;
    Accept accept = Accept::direct;
    Address own;  ///< where it listens
    UvPtr<uv_poll_t> poll;
    Incoming parked;  ///< accepted, but there was no descriptor left for its gateway leg
  };

  /// Ends the loop if nothing is accepted any more and nothing is left.
  void stop_if_done();
  void run();
  void wake();
  void on_request();
  void take_context();
  void accept_some(Listener& listener, int most);
  /// A connection of a listener for load balancers.
  void await_header(const Listener& listener, Incoming incoming);
  void refuse_undiverted(const Incoming& incoming);
  std::unique_ptr<CaptureSession> capture_of(Incoming& incoming, const IpAddress& ip, const Address& gateway,
                                             const GatewayLeg& leg);
  /// Where sessions wait whose sender's name decides; null if nobody can be asked.
  Undecided* look_ups();
  /// Counts why no window takes a sender that only its name could have brought into one.
  void forgotten(const CaptureGate::Admission& admission, const ConfirmedNames& names, bool crowded);
  void listen(Listener& listener);
  void pause();
  void resume();
  void make_room(size_t bytes);
  void flush_batch();
  void look_around();

  std::shared_ptr<const RelayContext> context_;
  uv_loop_t loop_{};
  std::mutex wake_mutex_;  ///< guards wake_ against the end of the loop
  UvPtr<uv_async_t> wake_;
  UvPtr<uv_timer_t> flush_timer_, resume_timer_, look_timer_, pulse_timer_;
  std::unique_ptr<ReverseDns> dns_;          ///< made at the first look-up
  std::unique_ptr<ReverseDns> old_dns_;      ///< of the context before, for look-ups under way
  std::unique_ptr<Undecided> undecided_;     ///< made for the first session that is
  std::unique_ptr<Poller> poller_;           ///< of the sessions' sockets
  std::unique_ptr<HeaderWait> header_wait_;  ///< if a listener is for load balancers
  std::vector<Listener> listeners_;
  std::unordered_map<uint64_t, std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Session>> graveyard_;
  uint64_t numbered_ = 0;
  bool accepting_ = true, paused_ = false;
  bool dns_failed_ = false;       ///< said in the log
  bool crowded_ = false;          ///< said in the log
  bool undiverted_said_ = false;  ///< said in the log

  BatchQueue& queue_;
  std::unique_ptr<Batch> batch_ = std::make_unique<Batch>();

  std::mutex next_mutex_;
  std::shared_ptr<const RelayContext> next_context_;  ///< null: none waits
  std::atomic<bool> context_waits_{false};
  Pulse pulse_;
  std::atomic<bool> drain_requested_{false}, done_{false};
  std::atomic<const char*> end_requested_{nullptr};
  std::thread thread_;
};

}  // namespace smtpscope
