// Whose sessions a running proxy captures, where names are among its senders: they are looked up on the main loop, and
// whenever their addresses change the workers get a filter made anew.
#pragma once

#include <uv.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "config/settings.h"
#include "proxy/divert/sender_follower.h"
#include "proxy/names/name_resolver.h"
#include "proxy/windows/window_keeper.h"

namespace smtpscope {

class Proxy;

class CapturedSenders {
 public:
  /// As far as names are known by now. The error is the filter's.
  Result<std::shared_ptr<const SenderFilter>> filter(const std::vector<std::string>& senders,
                                                     const std::vector<std::string>& exclude) const;
  /// From now on names are looked up: the configuration's, and those of open windows. `follower`: keeps the kernel's
  /// sets up to date; null: nobody is diverted to this proxy.
  void begin(uv_loop_t* loop, Proxy& proxy, WindowKeeper& windows, SenderFollower* follower);
  /// The proxy has other settings, or other windows are open.
  void follow();
  /// Before the loop ends.
  void end();

 private:
  void changed();
  void divert();
  void tell(const std::vector<std::string>& withheld);

  uv_loop_t* loop_ = nullptr;  ///< null: not begun, or at its end
  Proxy* proxy_ = nullptr;
  WindowKeeper* windows_ = nullptr;
  SenderFollower* follower_ = nullptr;
  std::optional<HostPort> server_;
  std::unique_ptr<NameResolver> resolver_;  ///< null while there are no names
  std::string told_;                        ///< of what withholds all capture
};

}  // namespace smtpscope
