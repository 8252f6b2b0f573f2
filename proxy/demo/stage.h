// Puts the proxy of `run` between the demo's senders and its gateway, all on loopback, and plays every story at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "capture/session.h"
#include "proxy/demo/stories.h"

namespace smtpscope {

struct Staged {
  const Story* story;
  Endpoint sender{};    ///< port 0 if it never got as far as to connect
  std::string error{};  ///< why it could not be played as written; empty if it was
};

struct Performance {
  int64_t began_us = 0;  ///< Unix time
  std::vector<Staged> sessions;
  bool interrupted = false;
};

/// Returns when all sessions are over and recorded in `store`; after 20 s at most. `stop`: a descriptor that becomes
/// readable when the demo is to end at once. Throws std::runtime_error if there is nothing to be staged with (no
/// sockets, no threads).
Performance perform(std::span<const Story> stories, const std::string& store, int stop);

}  // namespace smtpscope
