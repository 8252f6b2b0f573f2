// The TCP connections of a capture: which of them are SMTP, and the records of those, as a recording of ours would hold
// them. A flow that is no SMTP costs a table entry and no more.
//
// Bounds: kMaxOthers connections that are not known to be SMTP, or of which all is told (the one without packets for
// longest is forgotten for a new one); SMTP sessions end here when the sink is full, and after kMaxIdle without a
// packet.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "capture/foreign/ip_layer.h"
#include "capture/foreign/tcp_flow.h"
#include "capture/recording/record.h"

namespace smtpscope {

/// Takes records; `flow` numbers the sessions. Each session's come in their order, SessionFacts first, SessionEnd last.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  virtual void record(uint64_t flow, const Record& record) = 0;
  /// Does it hold more than it may? Then the session without packets for longest ends.
  virtual bool full() const { return false; }
};

class FlowTable : private TcpFlow::Listener {
 public:
  static constexpr size_t kMaxOthers = 65'536;
  static constexpr size_t kMaxEarly = 4096;                    ///< bytes kept until it is known whether they are SMTP
  static constexpr size_t kMaxIdents = 1024;                   ///< the newest questions to port 113
  static constexpr size_t kMaxLingering = 4096;                ///< sessions that are over and may get late packets
  static constexpr int64_t kLinger = 2'000'000;                ///< microseconds
  static constexpr int64_t kMaxIdle = int64_t{3'600'000'000};  ///< microseconds

  explicit FlowTable(RecordSink& sink) : sink_(sink) {}

  void segment(const TcpSegment& segment);
  /// Packets are missing here: nobody knows of which connections, so all that are open may miss some.
  void damaged() { ++damages_; }
  /// The capture ends: so do all sessions.
  void finish();

 private:
  struct Key {
    TcpEnd low, high;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  /// What came before it was known that this is SMTP.
  struct Early {
    struct Bytes {
      std::string bytes;
    };
    struct Lost {
      uint64_t length;
    };
    struct Item {
      size_t side;
      int64_t at_us;
      std::variant<Bytes, Lost, CloseHow> what;
    };
    std::vector<Item> items;
    std::array<std::string, 2> first;
    size_t size = 0;
  };
  /// told: an SMTP session that is over; its late packets are no new one.
  enum class State : uint8_t { undecided, smtp, other, told };
  struct Flow {
    Key key;
    std::array<TcpEnd, 2> ends;    ///< side 0 is where its first packet came from
    std::optional<size_t> sender;  ///< which side; none: not known
    State state = State::undecided;
    bool from_start = false;  ///< its SYN, or the answer to it, was captured
    bool refused = false;     ///< the SYN was answered by RST
    bool connected = false;
    bool told_connect = false;
    bool lingers = false;
    bool bare_ack = false;        ///< up to now there were only ACKs of it
    uint64_t damages_before = 0;  ///< in the capture, when it began
    uint64_t damages_at_end = 0;  ///< when it was over
    uint32_t syns = 0;
    uint32_t isn = 0;
    uint64_t id = 0;      ///< of this table, never used again
    uint64_t number = 0;  ///< among the sessions; 0: none yet
    int64_t first_us = 0, last_us = 0, connected_us = 0;
    std::unique_ptr<Early> early;
    TcpFlow tcp;
  };
  using Flows = std::list<Flow>;
  /// A gateway asked a sender's port 113, and what came of it.
  struct Ident {
    TcpEnd asker, asked;
    int64_t at_us = 0, last_us = 0;
    std::string outcome;
  };
  struct Lingering {
    int64_t until_us;
    uint64_t id;
    Key key;
  };

  void bytes(size_t side, int64_t at_us, std::string_view bytes) override;
  void lost(size_t side, int64_t at_us, uint64_t length) override;
  void closed(size_t side, int64_t at_us, CloseHow how) override;

  static bool is_of_another(const Flow& flow, const TcpSegment& segment);
  Flow* open(const TcpSegment& segment, const Key& key);
  void handshake(Flow& flow, size_t side, const TcpSegment& segment);
  void decide(Flow& flow, bool ended);
  void decide_unsaid(Flow& flow);
  void begin_session(Flow& flow);
  void tell_connect(Flow& flow, int64_t at_us);
  void end(Flow& flow, std::string_view why);
  void erase(Flows::iterator flow, std::string_view why);
  void retire(Flows::iterator flow);
  void expire();
  Early& early(Flow& flow);
  void note_ident(const TcpSegment& segment);
  std::optional<IdentQuery> ident_of(const Flow& flow) const;
  From from(const Flow& flow, size_t side) const { return side == *flow.sender ? From::sender : From::gateway; }

  RecordSink& sink_;
  std::unordered_map<Key, Flows::iterator, KeyHash> table_;
  Flows sessions_, others_;  ///< the one without packets for longest first
  std::deque<Lingering> lingering_;
  std::deque<Ident> idents_;
  Flow* current_ = nullptr;  ///< whose packet is handled
  int64_t now_us_ = INT64_MIN;
  uint64_t ids_ = 0, numbers_ = 0, damages_ = 0;
};

}  // namespace smtpscope
