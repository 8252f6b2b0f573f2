// The names of senders' addresses that are beyond doubt: those that the DNS gives for the address (PTR) and that have
// the address among theirs (A or AAAA). For entries like ".partner.example". On one libuv loop, beside everything else;
// at most kMaxAtOnce addresses at a time, each for at most kLimitMs, and answers are kept for a while.
#pragma once

#include <uv.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/ip.h"
#include "proxy/net/dns_channel.h"
#include "proxy/net/uv_ptr.h"

namespace smtpscope {

struct ConfirmedNames {
  std::vector<std::string> names;  ///< lower case, without a dot at the end
  bool all = false;                ///< there are no others; false: a look-up failed
};

class ConfirmedNameLookUps {
 public:
  static constexpr size_t kMaxAtOnce = 256;
  static constexpr size_t kMaxKept = 4096;
  static constexpr size_t kMaxNames = 10;           ///< of one address; RFC 7208 4.6.4 has the same limit
  static constexpr uint64_t kLimitMs = 10'000;      ///< from ask() to the answer
  static constexpr uint64_t kKeepMs = 300'000;      ///< what was found out
  static constexpr uint64_t kKeepFailedMs = 5'000;  ///< what was not

  using Told = std::function<void(const IpAddress&, const ConfirmedNames&)>;
  /// `servers` as in DnsChannel; throws as it does.
  ConfirmedNameLookUps(uv_loop_t* loop, const std::string& servers, Told told);
  ~ConfirmedNameLookUps();
  ConfirmedNameLookUps(const ConfirmedNameLookUps&) = delete;
  ConfirmedNameLookUps& operator=(const ConfirmedNameLookUps&) = delete;

  /// What is known already; null if nothing is.
  const ConfirmedNames* known(const IpAddress& ip) const;
  /// `told` is called once for this address, within kLimitMs or little more; perhaps before this returns.
  void ask(const IpAddress& ip);

 private:
  struct LookUp;

  void begin(const std::shared_ptr<LookUp>& look_up);
  void ask_addresses(const std::shared_ptr<LookUp>& look_up, const DnsAnswer& names);
  void finish(LookUp& look_up, bool all);
  void on_tick();

  uv_loop_t* loop_;
  Told told_;
  std::map<IpAddress, std::shared_ptr<LookUp>> look_ups_;  ///< under way, waiting or kept
  std::deque<std::shared_ptr<LookUp>> waiting_;
  size_t under_way_ = 0;
  UvPtr<uv_timer_t> timer_;
  DnsChannel channel_;
};

}  // namespace smtpscope
