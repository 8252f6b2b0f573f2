// Connections of trusted load balancers whose PROXY header is still to come. Each is read up to the last byte of its
// header and no further, so what follows is the session's to read; then it goes to the worker. What is no header, or
// not whole in time, is closed.
//
// A poller of its own: sessions of other listeners pay nothing for this.
#pragma once

#include <uv.h>

#include <cstdint>
#include <list>
#include <map>
#include <string>

#include "proxy/net/poller.h"
#include "proxy/net/uv_ptr.h"
#include "proxy/relay/header_refusals.h"
#include "proxy/relay/incoming.h"

namespace smtpscope {

class Worker;

class HeaderWait {
 public:
  /// Throws std::runtime_error if the system has no descriptor or memory for it.
  HeaderWait(Worker& worker, uv_loop_t* loop);
  HeaderWait(const HeaderWait&) = delete;
  HeaderWait& operator=(const HeaderWait&) = delete;

  void take(Fd fd, Endpoint peer, uint64_t timeout_ms);
  /// Hands on again what the worker had no descriptor for; false if it has none yet.
  bool retry();
  bool empty() const { return waiting_.empty() && parked_.empty(); }
  /// Closes all of them.
  void end();

 private:
  struct Waiting {
    Fd fd;
    Endpoint peer;
    uint64_t deadline_ns;
    std::string bytes{};  ///< of the header, read so far
  };
  using Place = std::map<uint64_t, Waiting>::iterator;

  void read(Place place);
  /// Takes it out of the list.
  void hand_on(Place place, Incoming incoming);
  void refuse(Place place, HeaderRefusals::Why why, std::string_view detail);
  void close_late();
  void start_timer();

  Worker& worker_;
  Poller poller_;
  UvPtr<uv_timer_t> timer_;              ///< for the earliest deadline
  std::map<uint64_t, Waiting> waiting_;  ///< by their key in the poller
  uint64_t next_key_ = 0;
  std::list<Incoming> parked_;  ///< header read, but no descriptor for the gateway's leg
};

}  // namespace smtpscope
