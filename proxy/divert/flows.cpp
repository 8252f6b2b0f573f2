#include "proxy/divert/flows.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "config/ip.h"

namespace smtpscope {
namespace {

constexpr uint32_t kTimeWait = 6, kClosed = 7, kListen = 10;  // enum tcp_state

struct Socket {
  IpAddress local;
  uint16_t port = 0;
  uint32_t state = 0;
};

/// "0100007F": words of 32 bits, each as this host stores it.
std::optional<IpAddress> address_of(std::string_view hex) {
  std::array<uint8_t, 16> bytes{};
  if (hex.size() != 8 && hex.size() != 32) return std::nullopt;
  for (size_t word = 0; word < hex.size() / 8; ++word) {
    uint32_t value = 0;
    std::from_chars(hex.data() + word * 8, hex.data() + word * 8 + 8, value, 16);
    std::memcpy(bytes.data() + word * 4, &value, 4);
  }
  return IpAddress::from_bytes({bytes.data(), hex.size() / 2});
}

void each_socket(bool v6, const std::function<void(const Socket&)>& use) {
  std::ifstream in(v6 ? "/proc/net/tcp6" : "/proc/net/tcp");
  std::string line, number, local, remote, state;
  std::getline(in, line);
  while (in >> number >> local >> remote >> state && std::getline(in, line)) {
    const size_t colon = local.find(':');
    if (colon == std::string::npos) continue;
    Socket socket;
    if (const auto address = address_of(std::string_view(local).substr(0, colon))) socket.local = *address;
    std::from_chars(local.data() + colon + 1, local.data() + local.size(), socket.port, 16);
    std::from_chars(state.data(), state.data() + state.size(), socket.state, 16);
    use(socket);
  }
}

std::set<IpAddress> own_addresses() {
  std::set<IpAddress> own;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return own;
  for (const ifaddrs* it = list; it != nullptr; it = it->ifa_next) {
    if (it->ifa_addr == nullptr) continue;
    const void* bytes = nullptr;
    size_t size = 0;
    if (it->ifa_addr->sa_family == AF_INET)
      bytes = &reinterpret_cast<const sockaddr_in*>(it->ifa_addr)->sin_addr, size = 4;
    else if (it->ifa_addr->sa_family == AF_INET6)
      bytes = &reinterpret_cast<const sockaddr_in6*>(it->ifa_addr)->sin6_addr, size = 16;
    if (size == 0) continue;
    if (const auto address = IpAddress::from_bytes({static_cast<const uint8_t*>(bytes), size})) own.insert(*address);
  }
  freeifaddrs(list);
  return own;
}

}  // namespace

bool somebody_listens(bool v6, uint16_t port) {
  bool found = false;
  each_socket(v6, [&](const Socket& s) { found = found || (s.state == kListen && s.port == port); });
  return found;
}

uint64_t diverted_sessions(uint16_t port) {
  const std::set<IpAddress> own = own_addresses();
  uint64_t count = 0;
  for (const bool v6 : {false, true})
    each_socket(v6, [&](const Socket& s) {
      const bool over = s.state == kTimeWait || s.state == kClosed || s.state == kListen;
      const bool loopback = s.local.is_v4() && s.local.v4_bits() >> 24 == 127;
      if (!over && s.port == port && !loopback && !own.contains(s.local)) ++count;
    });
  return count;
}

}  // namespace smtpscope
