// One TCP connection out of a capture: both streams in order, in the order in which their receivers can have seen them,
// with what the capture misses. Pure; memory is bounded by kMaxHeld a side and kMaxWaiting packets.
//
// A side acknowledges bytes that the capture does not have: they were received, so they are lost to the capture only,
// or the packet stands further behind in it (captures of several queues disorder packets). So what comes is made to
// wait, for at most kMaxWaiting packets or kMaxWait; then the bytes are given up. Without that a reply would be seen
// before the command it answers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/foreign/ip_layer.h"
#include "capture/foreign/stream_order.h"
#include "capture/smtp/vocabulary.h"

namespace smtpscope {

class TcpFlow {
 public:
  static constexpr size_t kMaxHeld = size_t{1} << 20;  ///< bytes ahead of a gap, each side
  static constexpr size_t kMaxWaiting = 16;            ///< packets
  static constexpr int64_t kMaxWait = 1'000'000;       ///< microseconds
  static constexpr int64_t kMaxLoss = int64_t{64}
                                      << 20;  ///< bytes; an ACK of more than that at once is none of this stream
  static constexpr int kMaxAheadAlone = 64;   ///< packets ahead of a gap if the other side is not in the capture

  /// What a connection tells. Sides are numbered 0 and 1 as its owner does; times never go back, but that
  /// a FIN has the time of its packet, also if it overtook bytes.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void bytes(size_t side, int64_t at_us, std::string_view bytes) = 0;
    virtual void lost(size_t side, int64_t at_us, uint64_t length) = 0;
    virtual void closed(size_t side, int64_t at_us, CloseHow how) = 0;
  };

  void segment(size_t side, const TcpSegment& segment, Listener& listener);
  /// Nothing more comes: hands out all that waits, with what is missing before it.
  void finish(Listener& listener);

  bool seen(size_t side) const { return sides_[side].seen; }
  bool closed(size_t side) const { return sides_[side].closed; }
  /// Both sides ended, or one reset it.
  bool over() const { return reset_by_.has_value() || (sides_[0].closed && sides_[1].closed); }
  /// Does a packet of that side fit into its stream, as far as it is known? If not, it is of another connection.
  bool is_near(size_t side, const TcpSegment& segment) const;
  uint64_t bytes(size_t side) const { return sides_[side].order.next(); }
  /// Of the side's first byte, if it is known.
  uint32_t base(size_t side) const { return sides_[side].base; }
  size_t memory() const;

 private:
  struct Side {
    StreamOrder order;
    uint64_t acked = 0;           ///< offset up to which the other side has it
    std::optional<uint64_t> fin;  ///< offset behind the last byte
    int64_t fin_us = 0;           ///< when it came
    uint32_t base = 0;
    int ahead = 0;  ///< packets since a gap began
    bool seen = false;
    bool closed = false;
  };
  struct Waiting {
    size_t side;
    TcpSegment segment;
    std::string payload;
  };

  bool process(size_t side, const TcpSegment& segment, Listener& listener);
  bool acknowledge(size_t side, uint32_t acknowledged);
  bool fills(size_t side, const TcpSegment& segment) const;
  void fill(size_t side, const TcpSegment& segment, Listener& listener);
  void take_crossing(size_t side, const TcpSegment& segment, Listener& listener);
  void wait(size_t side, const TcpSegment& segment);
  void resume(Listener& listener);
  void give_up(size_t side, Listener& listener);
  void close_if_ended(size_t side, Listener& listener);
  static bool misses(const Side& side);
  OnStream to(size_t side, Listener& listener) const;

  std::array<Side, 2> sides_;
  std::unique_ptr<std::vector<Waiting>> waiting_;  ///< in order of arrival; null: nothing waits
  size_t missing_side_ = 0;                        ///< whose bytes are waited for
  int64_t now_us_ = INT64_MIN;
  std::optional<size_t> reset_by_;  ///< the side whose RST ended it
};

}  // namespace smtpscope
