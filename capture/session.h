// What is known of a session besides its bytes. Pure data; filled by the relay, carried in the recording, read by the
// diagnosis and the transcript.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "capture/smtp/vocabulary.h"

namespace smtpscope {

struct Endpoint {
  std::string ip;  ///< canonical text, IPv6 without brackets; a mapped IPv4 address as IPv4
  uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

/// Known when the sender was accepted.
struct SessionFacts {
  std::string id;          ///< ULID
  uint64_t icid = 0;       ///< counts accepted connections since the proxy started
  std::string instance;    ///< ULID of the run of the proxy that recorded it; empty in a foreign capture
  int64_t started_us = 0;  ///< Unix time, microseconds
  Endpoint sender;
  Endpoint gateway;
  std::string sees;                  ///< sender | proxy | proxy-header; empty if unknown
  std::string filter;                ///< the entry of capture.senders that matched
  std::string body_policy = "full";  ///< full | headers | none
  uint64_t body_limit = 0;           ///< bytes of each body kept; 0: no limit
  bool joined = false;               ///< a foreign capture that begins in the midst of the session
};

/// How the connection to the gateway came out.
struct GatewayConnect {
  enum class State : uint8_t { pending, connected, failed };
  State state = State::pending;
  int64_t at_us = 0;  ///< when it was known, since the session began
  int64_t took_us = 0;
  std::string error;  ///< "ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", ... when failed
};

/// TCP_INFO of one leg at its end.
struct LegTransport {
  uint32_t rtt_us = 0;
  uint32_t retransmits = 0;
  uint32_t mss = 0;
  bool operator==(const LegTransport&) const = default;
};

struct StreamTotals {
  uint64_t bytes = 0;
  std::string xxh128;  ///< hex, as xxh128sum prints it; empty: not known
  bool operator==(const StreamTotals&) const = default;
};

/// Known when the session was over.
struct SessionEnd {
  int64_t at_us = 0;
  StreamTotals sender_stream, gateway_stream;
  std::optional<LegTransport> sender_leg, gateway_leg;
  std::string proxy_cause;  ///< why the proxy itself ended it ("drain", "no-memory", ...); empty: it did not
  std::string
      capture_loss;  ///< why recording was incomplete ("overload", "disk: No space left on device"); empty: it was not
  bool interrupted = false;  ///< the recording stops before the session's end (the proxy died)
};

/// What the recording left out or covered; counted while it is written or read.
struct CaptureCounts {
  uint64_t truncated_bytes = 0;  ///< left out by the body policy
  uint64_t masked_bytes = 0;     ///< covered secrets
  uint64_t gaps = 0;             ///< places where bytes were lost that should have been there
};

}  // namespace smtpscope
