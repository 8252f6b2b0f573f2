// A recording is pcapng: one section a process and file, one interface (LINKTYPE_RAW), and for each session packets
// that never were on a wire but are valid all the same: the sender's SYN, the gateway's SYN/ACK or RST, the bytes as
// they came, FIN or RST, with real addresses, ports and times and right checksums and sequence numbers. What is no
// packet stands as one JSON object in the comment of an empty ACK. docs/RECORDING.md has the shapes.
//
// All functions append whole blocks to `out`; nothing can fail. Times are microseconds.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "capture/address_bytes.h"
#include "capture/recording/record.h"

namespace smtpscope {

/// Section header and interface description: what a file begins with, and what a new process puts before its own
/// blocks.
void append_section(std::string& out);

/// Initial sequence numbers of both sides, sender first. They depend on the session's id, so that two sessions of one
/// address pair are told apart, even if they overlap.
std::array<uint32_t, 2> initial_sequences(std::string_view session_id);

/// The encode state of one session. Records have to come in the order of DESIGN's recording: open first, end last.
class PcapngFlow {
 public:
  explicit PcapngFlow(const SessionFacts& facts);

  void open(std::string& out, const SessionFacts& facts);
  void connected(std::string& out, const GatewayConnect& connect);
  /// The next bytes of one side, of any number; packets hold at most kMaxPayload.
  void data(std::string& out, From from, int64_t at_us, std::string_view bytes);
  /// The next `hole.length` bytes of its side are not in the recording: sequence numbers go on behind them.
  void hole(std::string& out, const Hole& hole);
  void close(std::string& out, const Closed& closed);
  void end(std::string& out, const SessionEnd& end);

  static constexpr size_t kMaxPayload = 65'000;

 private:
  struct Packet {
    From from = From::sender;
    uint8_t flags = 0;
    int64_t at_us = 0;
    std::string_view payload = {};
    std::string_view comment = {};
  };
  /// IP and TCP headers of one side's packets, and what checksums begin with: of the IP header behind its first word,
  /// of pseudo header and ports.
  struct Headers {
    std::array<uint8_t, 60> bytes{};
    uint64_t ip_sum = 0, tcp_sum = 0;
  };
  void make_headers(size_t from, const AddressBytes& source, const AddressBytes& destination, uint16_t source_port,
                    uint16_t destination_port);
  size_t ip_header() const { return v6_ ? 40 : 20; }
  void packet(std::string& out, const Packet& packet) const;
  uint32_t sequence(size_t side) const;

  int64_t started_us_;
  std::array<Headers, 2> headers_;  ///< sender, gateway
  std::array<uint32_t, 2> isn_;
  std::array<uint64_t, 2> next_{0, 0};  ///< sequence numbers used so far, SYN and FIN included
  bool v6_;
};

}  // namespace smtpscope
