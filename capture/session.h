// What is known of a session besides its bytes. Pure data; filled by the relay, carried in the recording, read by the
// diagnosis and the transcript.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "capture/smtp/vocabulary.h"

namespace smtpscope {

struct Endpoint {
  std::string ip;  ///< canonical text, IPv6 without brackets; a mapped IPv4 address as IPv4
  uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

/// The sender's SYN, as the kernel kept it.
struct SynFacts {
  uint8_t ttl = 0;           ///< hop limit left
  uint16_t mss = 0;          ///< offered; 0: none
  int8_t window_scale = -1;  ///< shift; -1: not offered
  bool sack = false, timestamps = false, ecn = false;
  bool operator==(const SynFacts&) const = default;
};

/// Known when the sender was accepted.
struct SessionFacts {
  std::string id;          ///< ULID
  uint64_t icid = 0;       ///< counts accepted connections since the proxy started
  std::string instance;    ///< ULID of the run of the proxy that recorded it; empty in a foreign capture
  int64_t started_us = 0;  ///< Unix time, microseconds
  Endpoint sender;         ///< the one that the PROXY header names, if one came and did
  Endpoint gateway;
  std::string sees;                  ///< sender | proxy | proxy-header; empty if unknown
  uint16_t sees_port = 0;            ///< sees sender: the port that the gateway sees, if not the sender's own; else 0
  std::string filter;                ///< the entry of capture.senders that matched
  std::string body_policy = "full";  ///< full | headers | none
  uint64_t body_limit = 0;           ///< bytes of each body kept; 0: no limit
  std::optional<SynFacts> syn = std::nullopt;
  std::string source = "";    ///< "injection-log": read from such a log; empty: from the bytes on the wire
  int64_t resolution_us = 0;  ///< how far apart two of its times are at least, if coarse; 0: they are exact
  std::optional<Endpoint> via = std::nullopt;  ///< the load balancer whose PROXY header named the sender; `syn` is its
  std::string header = "";   ///< the PROXY header that was sent to the gateway: proxy-v1 | proxy-v2; empty: none
  bool begins_late = false;  ///< what is known begins in the middle of the session
};

/// What a router, a firewall or a host answered in place of TCP.
struct IcmpError {
  std::string from;  ///< its address; empty: there was none
  std::string
      says;  ///< "admin-prohibited", "port-unreachable", "host-unreachable", "net-unreachable", "time-exceeded", ...
  bool operator==(const IcmpError&) const = default;
};

/// How the connection to the gateway came out.
struct GatewayConnect {
  enum class State : uint8_t { pending, connected, failed };
  State state = State::pending;
  int64_t at_us = 0;  ///< when it was known, since the session began
  int64_t took_us = 0;
  std::string error;  ///< "ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", ... when failed
  IcmpError icmp{};   ///< why, where the network said so
};

/// What reverse DNS said of the sender when the proxy asked, as a gateway would before it greets.
struct ReverseLookUp {
  std::string status;          ///< of the name: ok nxdomain nodata servfail refused timeout unreachable error pending
  std::string name;            ///< empty: none
  std::string forward_status;  ///< of the name's addresses, the same words; empty: not asked for
  bool verified = false;       ///< the sender's address is among them
  int64_t name_us = 0;         ///< how long the answer took; pending: how long it has been awaited
  int64_t forward_us = 0;
  bool operator==(const ReverseLookUp&) const = default;
};

/// The gateway's question to the sender's port 113 (RFC 1413) while a session lasts, seen only in captures.
struct IdentQuery {
  std::string outcome;  ///< no-answer | refused | answered
  int64_t at_us = 0;    ///< of its first SYN, since the session began
  int64_t took_us = 0;  ///< up to the answer; no-answer: up to its last SYN
  bool operator==(const IdentQuery&) const = default;
};

/// TCP_INFO of one leg.
struct LegTransport {
  uint32_t rtt_us = 0;
  uint32_t retransmits = 0;
  uint32_t mss = 0;
  uint32_t unacked = 0;       ///< segments sent to it that it has not acknowledged
  uint32_t unsent = 0;        ///< bytes for it that wait in the kernel
  uint32_t window = 0;        ///< bytes that it is willing to take; 0: none, or not known
  uint32_t out_of_order = 0;  ///< segments that came from it out of order, if some still wait behind a hole; else 0
  uint32_t sacked = 0;        ///< of the unacknowledged ones, those that it holds behind a hole (RFC 2018)
  bool operator==(const LegTransport&) const = default;
  /// Are bytes on their way that do not arrive?
  bool troubled() const { return unacked > 0 || unsent > 0 || out_of_order > 0; }
};

/// Both legs at one moment: at the beginning of each long silence.
struct PathSample {
  int64_t at_us = 0;
  std::optional<LegTransport> sender, gateway;
  bool operator==(const PathSample&) const = default;
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
  std::vector<PathSample> samples{};  ///< while it lasted, a few
  std::optional<ReverseLookUp> ptr = std::nullopt;
  std::optional<IdentQuery> ident = std::nullopt;
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
