// The listening sockets of a proxy: one a listener of the settings and worker, all on the same port (SO_REUSEPORT), or
// those that the process before this one handed over.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "config/settings.h"
#include "proxy/net/inherited_sockets.h"
#include "proxy/net/socket.h"

namespace smtpscope {

struct ListeningSocket {
  size_t index = 0;  ///< into settings.listeners
  Fd fd;
};

struct Listeners {
  std::vector<std::vector<ListeningSocket>> of_worker;
  std::vector<std::string> addresses;  ///< of settings.listeners, with the port that the system chose if it was 0
};

/// Takes from `inherited` what it has for a listener, all of it: a socket that would be closed takes the connections in
/// its queue with it. Where these are more than workers a worker gets several, where they are fewer workers share one.
/// Throws std::runtime_error with a sentence for the operator if one cannot be opened.
Listeners open_listeners(const Settings& settings, size_t workers, InheritedSockets& inherited);

/// The address as the settings name it. Throws std::runtime_error if it is no IP address; `what` names it there.
Address address_of(const HostPort& at, const char* what);

}  // namespace smtpscope
