// One short SMTP session with a gateway, to its end: greeting, EHLO, QUIT. Blocks its thread, for a bounded time, and
// can be told to stop; never sends mail.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "capture/session.h"
#include "proxy/probe/talk.h"

namespace smtpscope {

struct ProbeRequest {
  Endpoint to;                        ///< numeric
  std::string from;                   ///< an address of this host to come from; empty: the system's choice
  std::optional<int> header;          ///< 1, 2: begins with a PROXY header of this version that names our own end
  std::vector<std::string> commands;  ///< as for Talk
  uint64_t connect_timeout_ms = 10'000;
  uint64_t greeting_timeout_ms =
      35'000;                          ///< from the connection on; gateways that look up names take up to half a minute
  uint64_t reply_timeout_ms = 20'000;  ///< for each command
};

struct ProbeResult {
  enum class End : uint8_t {
    finished,       ///< the last command was answered
    no_connection,  ///< `error` says why
    silent,         ///< nothing (more) came in time
    closed,         ///< the gateway ended the session early; `error` if by a reset
    too_much,       ///< Talk::too_much()
    stopped,        ///< by the caller
  };
  End end = End::no_connection;
  std::string error;  ///< "ECONNREFUSED", "ETIMEDOUT", ...; empty if there was none
  Endpoint local;     ///< our own end, once connected
  int64_t connect_us = 0;
  uint32_t path_mtu = 0;  ///< bytes, as the kernel knows it; 0: not known
  std::optional<TalkReply> greeting;
  std::vector<std::string> sent;
  std::vector<TalkReply> replies, unasked;  ///< as in Talk

  /// The reply to EHLO or HELO, if there was one.
  const TalkReply* hello() const;
};

/// `stop`: a descriptor that becomes readable when the probe is to end; -1: none.
ProbeResult run_probe(const ProbeRequest& request, int stop = -1);

/// EHLO with this host's name, and QUIT. A host whose name is no mail server's says "NAME.invalid".
std::vector<std::string> hello_and_quit();

}  // namespace smtpscope
