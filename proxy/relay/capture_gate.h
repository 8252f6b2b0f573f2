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

#include "config/sender_filter.h"
#include "proxy/names/confirmed_names.h"
#include "proxy/relay/capture_window.h"

namespace smtpscope {

class CaptureGate {
 public:
  /// Names the entry of a sender filter that covers an address.
  using Match = std::function<std::optional<std::string_view>(const std::string& ip)>;

  /// Whose sessions a window takes.
  struct Senders {
    Match match;
    std::shared_ptr<const SenderFilter> by_name{};  ///< the same, where domains are among its entries; else null
  };

  /// An open window.
  struct Open {
    std::shared_ptr<CaptureWindow> window;
    Senders senders;
  };

  /// A session that is to be captured belongs to all windows that cover its sender and are not over.
  struct Admission {
    std::string entry;  ///< of the first of them
    std::vector<std::shared_ptr<CaptureWindow>> windows;
    explicit operator bool() const { return !windows.empty(); }
  };
  static Admission admit(const std::vector<Open>& windows, const std::string& ip);
  /// Does an open window take or refuse it only by the sender's name?
  static bool needs_name(const std::vector<Open>& windows, const IpAddress& ip);
  /// As admit(), of a sender with these names. `covered`: set if an entry covers it, though its
  /// window be over.
  static Admission admit_named(const std::vector<Open>& windows, const IpAddress& ip, const ConfirmedNames& names,
                               bool& covered);

  uint64_t next_icid() { return icid_.fetch_add(1) + 1; }
  /// Connections so far.
  uint64_t connections() const { return icid_.load(); }

 private:
  std::atomic<uint64_t> icid_{0};
};

}  // namespace smtpscope
