// How many sessions each window has taken, in memory that this process shares with the one that takes over from it in
// an upgrade. For a moment both take sessions of one window: by one count neither takes one too many, and no lock is
// needed. No disk is behind it. Without such memory each process counts for itself.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "proxy/net/socket.h"

namespace smtpscope {

class SharedCounts {
 public:
  using Count = std::shared_ptr<std::atomic<uint64_t>>;

  /// `inherited`: descriptor() of the process before; what is none of ours is closed, and new memory taken.
  explicit SharedCounts(Fd inherited = {});
  SharedCounts(const SharedCounts&) = delete;
  SharedCounts& operator=(const SharedCounts&) = delete;

  /// Of a window that is opened now, by its number.
  Count begin(uint64_t window);
  /// Of one that goes on: as it stands in the memory, or else `counted`.
  Count resume(uint64_t window, uint64_t counted);
  /// To be handed over; -1: none. It stays its own.
  int descriptor() const { return memory_.get(); }

 private:
  static constexpr size_t kPlaces = 1024;  // many more than can be open at once
  struct Place {
    std::atomic<uint64_t> window;  ///< 0: free
    std::atomic<uint64_t> taken;
  };
  static_assert(std::atomic<uint64_t>::is_always_lock_free);

  Place* find(uint64_t window, bool& known);
  Count count_of(Place* place);

  Fd memory_;
  std::shared_ptr<Place> places_;                                     ///< null: there is no such memory
  std::array<std::weak_ptr<std::atomic<uint64_t>>, kPlaces> in_use_;  ///< by this process
};

}  // namespace smtpscope
