// Which sessions are captured: those that an open window takes. Shared by all workers, and the same one from the
// proxy's beginning to its end; the windows come with each configuration.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/relay/capture_window.h"

namespace smtpscope {

class CaptureGate {
 public:
  /// Names the entry of a sender filter that covers an address.
  using Match = std::function<std::optional<std::string_view>(const std::string& ip)>;

  /// An open window, and whose sessions it takes.
  struct Open {
    std::shared_ptr<CaptureWindow> window;
    Match match;
  };

  /// A session that is to be captured belongs to all windows that cover its sender and are not over.
  struct Admission {
    std::string entry;  ///< of the first of them
    std::vector<std::shared_ptr<CaptureWindow>> windows;
    explicit operator bool() const { return !windows.empty(); }
  };
  static Admission admit(const std::vector<Open>& windows, const std::string& ip);

  uint64_t next_icid() { return icid_.fetch_add(1) + 1; }
  /// Connections so far.
  uint64_t connections() const { return icid_.load(); }

 private:
  std::atomic<uint64_t> icid_{0};
};

}  // namespace smtpscope
