// Timed reverse look-ups of senders, as a gateway makes them before it greets: the name of an address (PTR), then the
// addresses of that name. On one libuv loop, with c-ares, never in the way of a relay: at most kMaxAtOnce at a time,
// and answers are kept for a while.
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
  ~ReverseDns();
  ReverseDns(const ReverseDns&) = delete;
  ReverseDns& operator=(const ReverseDns&) = delete;

  /// A look-up that is begun or was made lately; it goes on by itself. Null if too many are under way.
  struct LookUp;
  std::shared_ptr<const LookUp> look_up(const std::string& ip);
  /// What is known of it by now.
  static ReverseLookUp facts(const LookUp& look_up);

 private:
  void ask_name(const std::shared_ptr<LookUp>& look_up);
  void ask_addresses(const std::shared_ptr<LookUp>& look_up);
  void finished(LookUp& look_up);
  void make_room();

  std::map<std::string, std::shared_ptr<LookUp>> kept_;
  size_t under_way_ = 0;
  DnsChannel channel_;  ///< the first to go: its end calls back each look-up that is open
};

}  // namespace smtpscope
