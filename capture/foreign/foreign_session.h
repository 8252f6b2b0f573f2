// The facts of a session that somebody else captured.
#pragma once

#include <cstdint>

#include "capture/foreign/ip_layer.h"
#include "capture/session.h"

namespace smtpscope {

struct ForeignConnection {
  TcpEnd sender, gateway;
  int64_t started_us = 0;                              ///< Unix time of its first packet
  uint32_t sender_sequence = 0, gateway_sequence = 0;  ///< of the first bytes
  uint64_t number = 0;                                 ///< of the session in its capture, from 1
  bool joined = false;                                 ///< its beginning was not captured
};

/// The id depends on what the capture says of the connection only: analysed again, a session has the same id.
SessionFacts foreign_facts(const ForeignConnection& connection);

}  // namespace smtpscope
