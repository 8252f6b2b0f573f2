// Which sessions are captured: those that an open window takes. Shared by all workers, and the same one from the
// proxy's beginning to its end; the windows come with each configuration.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/sender_filter.h"
#include "proxy/names/confirmed_names.h"
#include "proxy/relay/capture_window.h"

namespace smtpscope {

class CaptureGate {
 public:
  /// An open window, and whose sessions it takes.
  struct Open {
    std::shared_ptr<CaptureWindow> window;
    std::shared_ptr<const SenderFilter> filter;
  };

  /// A session that is to be captured belongs to all windows that cover its sender and are not over.
  struct Admission {
    std::string entry{};  ///< of the first of them
    std::vector<std::shared_ptr<CaptureWindow>> windows{};
    bool by_name = false;  ///< some take it, or not, only by the sender's name
    bool covered = false;  ///< an entry covers it, though its window be over
    explicit operator bool() const { return !windows.empty(); }
  };
  /// Without `names` those that go by the sender's name are passed over.
  static Admission admit(const std::vector<Open>& windows, const IpAddress& ip, const ConfirmedNames* names = nullptr);
  /// Enters it in those that admit() has passed over.
  static void admit_named(const std::vector<Open>& windows, const IpAddress& ip, const ConfirmedNames& names,
                          Admission& admission);

  uint64_t next_icid() { return icid_.fetch_add(1) + 1; }
  /// Connections so far.
  uint64_t connections() const { return icid_.load(); }

 private:
  std::atomic<uint64_t> icid_{0};
};

}  // namespace smtpscope
