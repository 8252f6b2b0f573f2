// Packets of a recording back into records: which session a packet belongs to, and what its comment says of it. Fed
// packet by packet by pcapng_reader (a file of ours) and by capture/foreign (ours among others, from a stream).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/recording/record.h"

namespace smtpscope {

struct RecordedPacket {
  struct End {
    std::array<uint8_t, 16> ip{};  ///< IPv4 in the first four bytes
    uint16_t port = 0;
    auto operator<=>(const End&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 errs
  };
  End from, to;
  uint32_t sequence = 0, acknowledged = 0;
  uint8_t flags = 0;
  uint64_t at_us = 0;
  std::string_view payload, comment;
};

/// `flow` numbers the sessions from 0; `block` is where in the file the record's block stands. Chunk bytes point into
/// the packet. Each session's records come in their order: SessionFacts first, SessionEnd last if there is one.
using OnRecord = std::function<void(uint64_t flow, const Record& record, ByteRange block)>;

class RecordedPackets {
 public:
  explicit RecordedPackets(const OnRecord& on_record) : on_record_(on_record) {}

  /// False if the packet is of no session that the recording tells of.
  bool packet(const RecordedPacket& p, ByteRange block);
  /// Is no session open?
  bool idle() const { return flows_.empty(); }

 private:
  struct Flow {
    uint64_t number;
    int64_t started_us;
    std::array<uint32_t, 2> isn;
    uint64_t next[2];  ///< sequence numbers used so far, SYN and FIN included
    std::vector<PathSample> samples{};
    std::optional<ReverseLookUp> ptr{};
    std::optional<IdentQuery> ident{};
    ByteRange evidence{};  ///< blocks of samples and look-up, which belong to the session's end

    uint32_t sequence(size_t side) const { return static_cast<uint32_t>(isn[side] + next[side]); }
    /// Of the side's next byte; its SYN may be missing (the gateway was never reached).
    uint64_t offset(size_t side) const { return next[side] == 0 ? 0 : next[side] - 1; }
  };
  using Key = std::pair<RecordedPacket::End, RecordedPacket::End>;
  struct Found {
    Key key;
    size_t index;
    From from;
  };

  void open(const RecordedPacket& p, const SessionFacts& facts, ByteRange block);
  std::optional<Found> find(const RecordedPacket& p) const;

  const OnRecord& on_record_;
  std::map<Key, std::vector<Flow>> flows_;
  uint64_t numbered_ = 0;
};

}  // namespace smtpscope
