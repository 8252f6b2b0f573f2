// Timed reverse look-ups of senders, as a gateway makes them before it greets: the name of an address (PTR), then the
// addresses of that name. On one libuv loop, with c-ares, never in the way of a relay: at most kMaxAtOnce at a time,
// and answers are kept for a while. Beside them the name server is asked for something that every one knows (the root),
// so that one that answers nobody ("unreachable") is told from a sender's name that gets no answer ("timeout").
#pragma once

#include <uv.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "capture/session.h"
#include "proxy/net/dns_channel.h"

namespace smtpscope {

class ReverseDns {
 public:
  static constexpr size_t kMaxAtOnce = 256;
  static constexpr size_t kMaxKept = 4096;
  static constexpr uint64_t kKeepNs = 300'000'000'000;

  /// `servers`: "ADDRESS[:PORT],..."; empty: those of the system. Throws std::runtime_error if c-ares refuses them.
  ReverseDns(uv_loop_t* loop, const std::string& servers);
  ReverseDns(const ReverseDns&) = delete;
  ReverseDns& operator=(const ReverseDns&) = delete;

  /// A look-up that is begun or was made lately; it goes on by itself. Null if too many are under way.
  struct LookUp;
  std::shared_ptr<const LookUp> look_up(const std::string& ip);
  /// What is known of it by now.
  static ReverseLookUp facts(const LookUp& look_up);
  /// Has the question for the name come to its end, whichever?
  static bool name_known(const LookUp& look_up);
  /// Whom it asks; see DnsChannel.
  std::string servers() const { return channel_.servers(); }

 private:
  void ask_name(const std::shared_ptr<LookUp>& look_up);
  void ask_addresses(const std::shared_ptr<LookUp>& look_up, const IpAddress& ip);
  void ask_for_life();
  void hear(const DnsAnswer& answer);
  void finished(LookUp& look_up);
  void make_room();

  std::map<std::string, std::shared_ptr<LookUp>> kept_;
  size_t under_way_ = 0;
  std::shared_ptr<uint64_t> heard_ns_ = std::make_shared<uint64_t>(0);
  bool asking_for_life_ = false;
  DnsChannel channel_;
  DnsChannel life_channel_;  ///< sockets of its own: of two questions on one, only one hears that a port is closed
};

}  // namespace smtpscope
