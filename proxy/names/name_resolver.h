// Keeps the addresses of senders' names (hosts, mx:, spf:) as DNS has them: looks them up beside everything else, again
// when their TTL is over, and tells when they have changed. A look-up that fails changes nothing: the last good answer
// stays in force, and it is tried again. Failures are told in the log when they begin and when they change.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/resolved_names.h"
#include "config/sender_spec.h"
#include "proxy/names/address_search.h"
#include "proxy/net/dns_channel.h"
#include "proxy/net/uv_ptr.h"

namespace smtpscope {

class NameResolver {
 public:
  static constexpr size_t kMaxNames = 256;          ///< more are not looked up
  static constexpr size_t kMaxRanges = 65'536;      ///< of all names
  static constexpr size_t kMaxAtOnce = 16;          ///< names under way
  static constexpr uint64_t kLeastMs = 10'000;      ///< an answer holds at least so long, whatever its TTL,
  static constexpr uint64_t kMostMs = 3600'000;     ///< and at most so long
  static constexpr uint64_t kRetryMs = 10'000;      ///< after a failure; twice as long after each further one,
  static constexpr uint64_t kMaxRetryMs = 300'000;  ///< up to this
  static constexpr uint64_t kLimitMs = 30'000;      ///< that one name may take

  /// What became of a name; for people.
  struct State {
    std::string name;                   ///< SenderSpec::key()
    bool tried = false;                 ///< there was an answer, or a failure
    std::string failure;                ///< why it could not be resolved the last time; empty: it could
    bool kept = false;                  ///< names() holds an earlier answer
    std::vector<std::string> left_out;  ///< what has no addresses
    size_t ranges = 0;                  ///< in force
  };

  /// `servers` as in DnsChannel. `changed` is called on the loop whenever names() or how they fare has changed. `log`:
  /// tell of it. Throws std::runtime_error if there can be no look-ups.
  NameResolver(uv_loop_t* loop, const std::string& servers, std::function<void()> changed, bool log = true);
  ~NameResolver();
  NameResolver(const NameResolver&) = delete;
  NameResolver& operator=(const NameResolver&) = delete;

  /// From now on these entries, of any kind; those that have no addresses in DNS are passed over. What was known of
  /// others is forgotten. Names that failed are tried again at once.
  void watch(const std::vector<std::string>& entries);
  const ResolvedNames& names() const { return names_; }
  std::vector<State> states() const;
  /// Has every name been tried?
  bool settled() const;

 private:
  struct Name;

  void on_tick();
  void begin(const std::shared_ptr<Name>& name);
  void step(const std::shared_ptr<Name>& name);
  void finish(Name& name);
  void take(Name& name, const AddressSearch::Found& found);
  void tell(Name& name, const std::string& text, bool warn);

  std::function<void()> changed_;
  const bool log_;
  std::map<std::string, std::shared_ptr<Name>> watched_;  ///< by key
  ResolvedNames names_;
  size_t under_way_ = 0;
  bool too_many_said_ = false;
  uv_loop_t* loop_;
  UvPtr<uv_timer_t> timer_;
  DnsChannel channel_;
};

/// Looks these entries up and waits, at most `limit_ms` in all. For commands; not for a thread that has a loop to run.
struct NamesNow {
  ResolvedNames names;
  std::vector<NameResolver::State> states;  ///< of each name that DNS has addresses for
};
NamesNow resolve_now(const std::vector<std::string>& entries, const std::string& servers, uint64_t limit_ms);

/// "192.0.2.1, 198.51.100.0-198.51.100.255 and 3 more"
std::string ranges_summary(const std::vector<AddressRange>& ranges);

}  // namespace smtpscope
