// The annotated transcript of one session: schema smtpscope.transcript/1 as a plain value. Everything that is shown,
// listed or compared reads this; only json.h knows its spelling.
//
// Text in a transcript is lossless: UTF-8 as it is, any other byte and control characters as \xNN, a backslash as \\.
// (Inner line ends of a multi-line reply stay '\n'.) lossless() and raw() convert.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/diagnosis/finding.h"
#include "capture/session.h"
#include "capture/smtp/event.h"

namespace smtpscope {

inline constexpr std::string_view kTranscriptSchema = "smtpscope.transcript/1";

struct Transcript {
  SessionFacts session;
  GatewayConnect connect;
  int64_t duration_us = 0;
  Verdict verdict = Verdict::unknown;
  std::string summary;
  std::optional<Finding> breakdown;
  std::vector<Finding> notes;
  std::vector<Event> events;      ///< texts are lossless text, not raw bytes
  std::vector<Message> messages;  ///< mail_from and addresses likewise
  StreamTotals sender_stream, gateway_stream;
  std::optional<LegTransport> sender_leg, gateway_leg;
  std::vector<PathSample> samples{};
  std::optional<ReverseLookUp> ptr = std::nullopt;  ///< its name is lossless text
  std::optional<IdentQuery> ident = std::nullopt;
  std::optional<TlsFacts> tls;
  CaptureCounts capture;
  bool complete = true;  ///< everything that policy asks for was recorded
  bool interrupted = false;
  std::string capture_loss;
  std::string recording;      ///< file name beside the transcript that holds its packets; may be empty
  ByteRange recording_bytes;  ///< part of that file in which its blocks stand
};

/// Raw wire bytes as lossless text. '\n' stays.
std::string lossless(std::string_view raw);
/// The same in place.
void make_lossless(std::string& text);
/// The reverse; a malformed escape is kept as it stands.
std::string raw(std::string_view lossless_text);

}  // namespace smtpscope
