// What a service tells its manager: sd_notify(3)'s protocol, datagrams of VARIABLE=value lines to the socket named in
// $NOTIFY_SOCKET. The manager is systemd, or our own watchdog (proxy/service/watchdog.h), which speaks the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/net/socket.h"

namespace smtpscope {

/// A name as in $NOTIFY_SOCKET: a path, or @name in the abstract namespace. None if it is neither or too long.
std::optional<Address> notify_address(std::string_view name);

class Notifier {
 public:
  /// Tells nobody.
  Notifier() = default;
  /// Whom the environment names. One that $WATCHDOG_PID says to be meant for another process does not watch this one.
  static Notifier from_environment();

  /// Is there somebody to tell?
  bool has_manager() const { return static_cast<bool>(socket_); }
  /// Within what time a WATCHDOG=1 is due, microseconds; 0 if nobody waits for one.
  uint64_t watchdog_us() const { return watchdog_us_; }
  /// Never waits and never fails: what the manager does not take at once is lost to it. False if nobody is there any
  /// more.
  bool tell(std::string_view lines) const;

 private:
  Fd socket_;
  Address to_;
  uint64_t watchdog_us_ = 0;
};

}  // namespace smtpscope
