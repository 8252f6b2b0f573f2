#include "proxy/relay/listeners.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace smtpscope {
namespace {

std::string shown(const Endpoint& e) {
  return e.ip.find(':') == std::string::npos ? fmt::format("{}:{}", e.ip, e.port)
                                             : fmt::format("[{}]:{}", e.ip, e.port);
}

[[noreturn]] void cannot_listen(const ListenerSettings& listener, const Address& address, int error) {
  const char* hint = error == EADDRINUSE ? " (ss -ltnp shows by whom)"
                     : error == EPERM && listener.accept == Accept::tproxy
                         ? " (\"accept\": \"tproxy\" needs root or CAP_NET_ADMIN)"
                     : error == EACCES ? " (a port below 1024 needs root or CAP_NET_BIND_SERVICE)"
                                       : "";
  throw std::runtime_error(
      fmt::format("cannot listen on {}: {}{}", shown(endpoint_of(address)), std::strerror(error), hint));
}

bool transparent(const ListenerSettings& listener) { return listener.accept == Accept::tproxy; }

}  // namespace

Address address_of(const HostPort& at, const char* what) {
  if (const auto address = make_address(at.host, at.port)) return *address;
  throw std::runtime_error(fmt::format("{}: {} is no IP address", what, at.host));
}

Listeners open_listeners(const Settings& settings, size_t workers, InheritedSockets& inherited) {
  std::vector<std::vector<Fd>> sockets;  // of each listener
  for (const ListenerSettings& listener : settings.listeners) {
    const Address address = address_of(listener.address, "listener");
    sockets.push_back(inherited.take(address, transparent(listener)));
    if (!sockets.back().empty()) continue;
    if (const int error = port_taken(address, transparent(listener)); error != 0)
      cannot_listen(listener, address, error);
  }
  Listeners opened;
  opened.of_worker.resize(workers);
  for (size_t index = 0; index < sockets.size(); ++index) {
    const ListenerSettings& listener = settings.listeners[index];
    Address address = address_of(listener.address, "listener");
    std::vector<Fd>& own = sockets[index];
    if (own.empty()) {
      for (size_t i = 0; i < workers; ++i) {
        const int fd = listen_on(address, transparent(listener));
        if (fd < 0) cannot_listen(listener, address, -fd);
        if (i == 0) address = local_address(fd);  // a port of 0 is now a number, the same for all workers
        own.emplace_back(fd);
      }
    }
    opened.addresses.push_back(shown(endpoint_of(address)));
    // No new socket beside inherited ones: the kernel lets only the user share a port who opened it first.
    const size_t given = own.size();
    for (size_t i = given; i < workers; ++i) {
      own.emplace_back(fcntl(own[i % given].get(), F_DUPFD_CLOEXEC, 0));
      if (!own.back()) cannot_listen(listener, address, errno);
    }
    for (size_t i = 0; i < own.size(); ++i) opened.of_worker[i % workers].push_back({index, std::move(own[i])});
  }
  return opened;
}

}  // namespace smtpscope
