// One direction of a TCP connection put in order: retransmissions are dropped, what comes too early waits, and of bytes
// that came twice the first ones stand (as most receivers have it). What is missing is for the owner to give up.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace smtpscope {

/// The next bytes of the stream, or (with no bytes) that the next `missing` ones are not known.
using OnStream = std::function<void(std::string_view bytes, uint64_t missing)>;

class StreamOrder {
 public:
  static constexpr int64_t kMaxAhead = int64_t{1}
                                       << 30;  ///< bytes; what is further ahead or behind is not of this stream

  bool begun() const { return begun_; }
  /// `sequence` is that of the stream's first byte.
  void begin(uint32_t sequence);
  /// Where a sequence number stands in the stream, taken as the nearest to the next byte; may be negative.
  int64_t offset_of(uint32_t sequence) const;
  /// Offset of the next byte to be handed out.
  uint64_t next() const { return next_; }

  /// Bytes at `offset`, and `missing` bytes behind them that passed but are not known.
  void insert(int64_t offset, std::string_view bytes, uint64_t missing, const OnStream& out);
  /// Bytes up to `offset` will not come.
  void give_up_to(uint64_t offset, const OnStream& out);

  bool holds() const { return held_ != nullptr; }
  /// Offset of the first byte that waits; only if holds().
  uint64_t first_held() const { return held_->begin()->first; }
  /// About how much memory what waits takes.
  size_t held_bytes() const { return held_bytes_; }

 private:
  struct Held {
    std::string bytes;
    uint64_t missing = 0;
    uint64_t length() const { return bytes.size() + missing; }
  };
  void hand_out(std::string_view bytes, uint64_t missing, const OnStream& out);
  void keep(uint64_t offset, std::string_view bytes, uint64_t missing);
  void drain(const OnStream& out);

  bool begun_ = false;
  uint32_t base_ = 0;
  uint64_t next_ = 0;
  std::unique_ptr<std::map<uint64_t, Held>> held_;  ///< by offset, no two overlap; null: nothing waits
  size_t held_bytes_ = 0;
};

}  // namespace smtpscope
