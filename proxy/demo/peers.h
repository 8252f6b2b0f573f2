// The scripted ends of a demo session: plain sockets that send what a script says and wait until it has come out at the
// other end of the proxy. Everything has a deadline and can be interrupted, so nothing here waits for ever.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string_view>

#include "proxy/net/socket.h"

namespace smtpscope {

/// Somebody asked the demo to end.
struct Interrupted : std::runtime_error {
  Interrupted() : std::runtime_error("interrupted") {}
};

/// When waiting ends: at `deadline`, with a std::runtime_error, or when `stop` becomes readable, with Interrupted.
struct Patience {
  int stop;
  std::chrono::steady_clock::time_point deadline;

  /// Waits until `fd` is ready for these POLL* events; `what` names what did not happen in time.
  void wait(int fd, short events, std::string_view what) const;
  void pause(std::chrono::milliseconds time) const;
};

/// Both ends of one connection through the proxy: the sender's socket, and the one that the gateway accepted for it.
struct Ends {
  Fd sender, gateway;
  Endpoint sender_address;
};

/// Connects from `source` to the proxy and accepts what then comes to the gateway's listener. Ends are matched by
/// order: make one connection after the other.
Ends connect_through(const Address& proxy, const Address& source, int gateway_listener, const Patience& patience);

/// Plays a script (stories.h) to its end and closes both ends. Throws std::runtime_error with a sentence that says
/// which step failed, std::logic_error if the script is wrong.
void play(std::string_view script, Ends ends, const Patience& patience);

}  // namespace smtpscope
