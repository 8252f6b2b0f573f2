// A capture file as the records of the SMTP sessions in it: what read_recording is for our own recordings, for pcap and
// pcapng from anywhere and from a stream. Recordings of ours are known by their comments and keep all their facts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "capture/foreign/byte_source.h"
#include "capture/foreign/flow_table.h"

namespace smtpscope {

struct CaptureReport {
  uint64_t packets = 0;
  uint64_t segments = 0;      ///< packets that were TCP
  uint32_t unknown_link = 0;  ///< a link type that is not known, of `unknown_packets` packets
  uint64_t unknown_packets = 0;
  std::string error;  ///< what could not be read, with the byte offset; empty: everything was
};

/// One of several files of a capture (tcpdump -C, -G).
struct CaptureInput {
  std::string name;
  std::function<std::unique_ptr<ByteSource>()> open;
  bool opens_again = false;  ///< it can be opened more than once; else it stays open until its turn
  CaptureReport report{};    ///< filled while it is read
};

/// Reads to the end, or to where the file is damaged; what was read until then has been handed over. Sessions of our
/// own recordings that have no end get no SessionEnd.
CaptureReport read_capture(ByteSource& source, RecordSink& sink);
/// The same of files that belong together: their packets are taken in order of time, so that a session may begin in one
/// and end in another. The order of the inputs does not matter.
void read_captures(std::vector<CaptureInput>& inputs, RecordSink& sink);

}  // namespace smtpscope
