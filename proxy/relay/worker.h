// One thread, one libuv loop: its listeners, its sessions, its recorder. Nothing of a worker is touched by another
// thread but the requests posted to it (stop accepting, end now).
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

#include "config/settings.h"
#include "proxy/net/poller.h"
#include "proxy/net/reverse_dns.h"
#include "proxy/net/socket.h"
#include "proxy/net/uv_ptr.h"
#include "proxy/relay/batch.h"
#include "proxy/relay/capture_gate.h"
#include "proxy/relay/recorder.h"
#include "proxy/relay/session.h"

namespace smtpscope {

/// What all workers share; immutable but for the gate.
struct RelayContext {
  Settings settings;
  Address gateway;
  std::string instance;  ///< ULID of this run
  std::shared_ptr<CaptureGate> gate;
};

class Worker {
 public:
  /// Takes over listening sockets. Throws std::runtime_error if libuv has no loop to give.
  Worker(std::shared_ptr<const RelayContext> context, std::vector<Fd> listeners);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();
  /// From any thread. Accepts what waits, then no more; ends once the last session has ended.
  void drain();
  /// From any thread. Ends all sessions at once; `cause` is a literal and stands in their transcripts.
  void end_now(const char* cause);
  /// Waits for the thread and for all transcripts to be written.
  void join();
  bool done() const { return done_.load(); }

  // For sessions, on the loop's thread.
  uv_loop_t* loop() { return &loop_; }
  Poller& poller() { return *poller_; }
  bool gateway_is_v6() const { return context_->gateway.storage.ss_family == AF_INET6; }
  uint64_t connect_timeout_ms() const { return context_->settings.gateway.connect_timeout_ms; }
  /// Where recv() puts up to Batch::kMaxRead bytes; valid until the next append() or read_space().
  char* read_space();
  void append(const BatchRecord& record);
  /// A reverse look-up of an address; null if there is none to be had.
  std::shared_ptr<const ReverseDns::LookUp> look_up(const std::string& ip);
  bool overloaded() const { return queue_.overloaded(); }
  void retire(uint64_t number);

 private:
  struct Listener {
    Worker* worker = nullptr;
    Fd fd;
    UvPtr<uv_poll_t> poll;
    Fd parked;  ///< accepted, but there was no descriptor left for its gateway leg
    Address peer;
  };

  void run();
  void on_request();
  void accept_some(Listener& listener, int most);
  /// False if descriptors ran out: `sender` is then parked.
  bool begin(Listener& listener, Fd sender, const Address& peer);
  void listen(Listener& listener);
  void pause();
  void resume();
  void make_room(size_t bytes);
  void flush_batch();
  void stop_if_done();
  void look_around();

  std::shared_ptr<const RelayContext> context_;
  uv_loop_t loop_{};
  std::mutex wake_mutex_;  ///< guards wake_ against the end of the loop
  UvPtr<uv_async_t> wake_;
  UvPtr<uv_check_t> burial_;
  UvPtr<uv_timer_t> flush_timer_, resume_timer_, look_timer_;
  std::unique_ptr<ReverseDns> dns_;  ///< made at the first look-up
  std::unique_ptr<Poller> poller_;   ///< of the sessions' sockets
  std::vector<Listener> listeners_;
  std::unordered_map<uint64_t, std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Session>> graveyard_;
  uint64_t numbered_ = 0;
  bool accepting_ = true, paused_ = false;
  bool dns_failed_ = false;  ///< said in the log

  BatchQueue queue_;
  std::unique_ptr<Batch> batch_ = std::make_unique<Batch>();
  std::unique_ptr<Recorder> recorder_;

  std::atomic<bool> drain_requested_{false}, done_{false};
  std::atomic<const char*> end_requested_{nullptr};
  std::thread thread_;
};

}  // namespace smtpscope
