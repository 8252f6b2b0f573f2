// One mail session on its way through: a leg to the sender and one to the gateway, and what passes between them
// unchanged. Bytes are forwarded first and recorded afterwards. FIN is passed on as FIN once all bytes before it are
// out, RST as RST.
//
// Back-pressure: a leg is read only while nothing waits to be written to the other, so at most one read (kMaxRead) is
// held a side. A session ends when both sides have ended their streams, when one was reset, or when the proxy stops.
#pragma once

#include <uv.h>
#include <xxhash.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/net/reverse_dns.h"
#include "proxy/net/socket.h"
#include "proxy/net/uv_ptr.h"
#include "proxy/relay/batch.h"
#include "proxy/relay/gateway_leg.h"

namespace smtpscope {

class Worker;

class Session {
 public:
  /// `capture` is null for a session that is relayed only. The connection to the gateway is under way on `gateway`, or
  /// failed with `connect_error` (a positive errno).
  Session(Worker& worker, uint64_t number, Fd sender, GatewayLeg gateway, std::unique_ptr<CaptureSession> capture);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// The sender's address, where it is not that of the connection's peer. Before start().
  void named(std::string ip) { named_ = std::make_unique<const std::string>(std::move(ip)); }
  void start();
  /// A leg of it is ready: the sender's of an even key, the gateway's of an odd one.
  void on_ready(uint64_t key, uint32_t events);
  /// Ends it from our side, at once: hands on what was sent already as far as the kernel takes it, then FIN to both;
  /// RST to a side that does not get all. `cause` stands in the transcript.
  void stop(const char* cause);
  uint64_t number() const { return number_; }
  /// It is not captured after all, and goes on. What was captured is not touched again.
  void forget() { capture_ = nullptr; }
  /// Now and then, by the worker: looks whether something is late, and gathers evidence of why.
  void look_around();

 private:
  struct Hash {
    XXH3_state_t* state = XXH3_createState();
    Hash() { XXH3_128bits_reset(state); }
    ~Hash() { XXH3_freeState(state); }
    Hash(const Hash&) = delete;
    Hash& operator=(const Hash&) = delete;
  };
  struct Leg {
    Fd fd;
    std::unique_ptr<std::string> queue;  ///< bytes to be written to this leg; null while there are none
    std::unique_ptr<Hash> hash;          ///< of what this leg sent; made at its first byte
    uint64_t bytes = 0;                  ///< that this leg sent
    uint64_t lost = 0;                   ///< of them, not handed to the recorder yet for want of room
    uint32_t wanted = 0;                 ///< EPOLL* bits
    bool watched = false;                ///< is in the worker's poller
    bool hung_up = false;  ///< ended both ways in the kernel, with bytes left to read; would be told without end
    bool connecting = false, ended = false, fin_sent = false;
  };

  Leg& other(const Leg& leg) { return &leg == &legs_[0] ? legs_[1] : legs_[0]; }
  /// In the worker's poller: the session's number, twice, and the leg's.
  uint64_t key(const Leg& leg) const { return 2 * number_ + (&leg == &legs_[0] ? 0 : 1); }
  From from(const Leg& leg) const { return &leg == &legs_[0] ? From::sender : From::gateway; }
  int64_t now_us() const;

  void on_event(Leg& leg, uint32_t events);
  /// `error`: what the socket says of the attempt, 0 if it is through.
  void on_connected(Leg& gateway, int error);
  void connect_failed(int error);
  enum class Read : uint8_t { more, blocked, stop };
  Read read(Leg& leg, bool forward_bytes);
  /// Hands bytes to `to`'s socket, keeps what it does not take. False if that leg was reset.
  bool forward(Leg& to, const char* bytes, size_t size);
  bool write_queue(Leg& leg);
  void pass_end(Leg& to);
  void on_reset(Leg& leg, int error);
  /// One more read of a leg that will not be watched again, handed on; what recv() said, or -1.
  ssize_t read_last(Leg& leg);
  void reset_when_sent();
  void want(Leg& leg);
  void unwatch(Leg& leg);
  void finish();

  void record(BatchRecord::Type type, From from, uint64_t length = 0, CloseHow how = CloseHow::fin);
  void record_data(Leg& leg, size_t size);
  /// `behind`: bytes counted already that are not lost.
  void record_lost(Leg& leg, uint64_t behind = 0);

  Worker& worker_;
  uint64_t number_;
  uint64_t began_ns_;
  std::array<Leg, 2> legs_;  ///< sender, gateway
  CaptureSession* capture_;  ///< the recorder's once `opened` was sent; never touched again after `ended`
  int connect_error_;
  bool gateway_is_v6_;
  Leg* gone_ = nullptr;       ///< the leg that was reset
  Leg* resetting_ = nullptr;  ///< the leg that is still to be reset once its bytes are out
  UvPtr<uv_timer_t> timer_;
  uint64_t reset_deadline_ns_ = 0;
  /// What is gathered of a captured session while it lasts; made when something is late.
  struct Evidence {
    std::shared_ptr<const ReverseDns::LookUp> name;
    std::vector<PathSample> samples;
    uint64_t sampled_ns = 0;
  };
  std::unique_ptr<Evidence> evidence_;
  std::unique_ptr<std::string> lead_;  ///< bytes of our own for the gateway before all else, until it is reached;
                                       ///< they are nobody's in the recording
  std::unique_ptr<const std::string> named_;  ///< null: the sender is the peer
  uint64_t last_news_ns_;                     ///< when bytes of either side were read last, or its end
  bool kept_alive_ = false;                   ///< keep_alive() was asked of the gateway's leg
  bool over_ = false;
};

}  // namespace smtpscope
