// Questions to the DNS on one libuv loop, with c-ares: over UDP, over TCP where an answer is cut, to the servers given
// or the system's. Without a search list, and without this host's hosts file: neither is the gateway's.
#pragma once

#include <ares.h>
#include <uv.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "proxy/net/dns_message.h"
#include "proxy/net/uv_ptr.h"

namespace smtpscope {

class DnsChannel {
 public:
  /// `servers`: "ADDRESS[:PORT],..."; empty: those of the system. Each is tried `tries` times, `timeout_ms` and then
  /// longer. Throws std::runtime_error if c-ares refuses.
  DnsChannel(uv_loop_t* loop, const std::string& servers, int timeout_ms, int tries);
  /// What is under way is not answered any more.
  ~DnsChannel();
  DnsChannel(const DnsChannel&) = delete;
  DnsChannel& operator=(const DnsChannel&) = delete;

  /// `answered` is called once, on the loop; where there is nobody to ask perhaps before this returns. It may ask on,
  /// but not destroy the channel.
  void ask(const DnsQuestion& question, std::function<void(DnsAnswer)> answered);

  /// For c-ares' own ways of asking; then arm().
  ares_channel get() const { return channel_; }
  void arm();

 private:
  void on_socket(ares_socket_t fd, bool readable, bool writable);

  uv_loop_t* loop_;
  ares_channel channel_ = nullptr;
  UvPtr<uv_timer_t> timer_;
  std::map<ares_socket_t, UvPtr<uv_poll_t>> sockets_;
};

/// What c-ares says of a look-up that gave no answer, for people. Where all servers fail it asks each, and tells no
/// more than that none answered.
std::string dns_failure_text(int ares_status);

}  // namespace smtpscope
