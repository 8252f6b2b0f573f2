// Whose sessions a running proxy captures, where names are among its senders: they are looked up on the main loop, and
// whenever their addresses change the workers get a filter made anew.
#pragma once

#include <uv.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "config/sender_filter.h"
#include "config/settings.h"
#include "proxy/names/name_resolver.h"
#include "proxy/relay/capture_gate.h"

namespace smtpscope {

class Proxy;

struct SenderMatch {
  CaptureGate::Match by_address;
  std::shared_ptr<const SenderFilter> by_name;  ///< null if no entry is a domain
  std::vector<std::string> withheld;            ///< names that keep everybody from being captured
};

class CapturedSenders {
 public:
  /// As far as names are known by now. The error is the filter's.
  Result<SenderMatch> match(const Settings& settings) const;
  /// From now on names are looked up.
  void begin(uv_loop_t* loop, Proxy& proxy);
  /// The proxy has other settings.
  void follow(Proxy& proxy);
  /// Before the loop ends.
  void end() { resolver_.reset(); }

 private:
  void changed(Proxy& proxy);
  void tell(const std::vector<std::string>& withheld);

  uv_loop_t* loop_ = nullptr;
  std::optional<HostPort> server_;
  std::unique_ptr<NameResolver> resolver_;  ///< null while there are no names
  std::string told_;                        ///< of what withholds all capture
};

}  // namespace smtpscope
