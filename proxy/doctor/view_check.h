// The gateway-view check at the start of `run`: one short session of the proxy's own with the gateway, on a thread of
// its own, and one line in the log that says whom the gateway sees. Never in the way of mail, and nothing depends on
// it.
#pragma once

#include <thread>

#include "config/settings.h"
#include "proxy/net/socket.h"

namespace smtpscope {

class ViewCheck {
 public:
  /// Begins at once, if the settings want it. A gateway on this host, or none in the configuration, is not asked.
  explicit ViewCheck(const Settings& settings);
  /// Breaks it off.
  ~ViewCheck();
  ViewCheck(const ViewCheck&) = delete;
  ViewCheck& operator=(const ViewCheck&) = delete;

 private:
  Fd stop_;
  std::thread thread_;
};

}  // namespace smtpscope
