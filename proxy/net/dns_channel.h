// Questions to the DNS on one libuv loop, with c-ares: over UDP, over TCP where an answer is cut, to the servers given
// or the system's. Without a search list, and without this host's hosts file: neither is the gateway's. What c-ares has
// for the purpose (ares_gethostbyaddr) is not used: it calls whatever failed a name that does not exist.
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

  /// Whom it asks, as in "192.0.2.53:53, [2001:db8::53]:53"; empty: nobody.
  std::string servers() const;

 private:
  bool open(const std::string& servers, int timeout_ms, int tries, int flags);
  size_t server_count() const;
  void arm();
  void on_socket(ares_socket_t fd, bool readable, bool writable);

  uv_loop_t* loop_;
  ares_channel channel_ = nullptr;
  UvPtr<uv_timer_t> timer_;
  std::map<ares_socket_t, UvPtr<uv_poll_t>> sockets_;
};

}  // namespace smtpscope
