#include "proxy/divert/flows.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "config/ip.h"

namespace smtpscope {
namespace {

constexpr uint32_t kFinWait2 = 5, kTimeWait = 6, kClosed = 7, kListen = 10;  // enum tcp_state

struct Socket {
  IpAddress local, remote;
  uint16_t port = 0, remote_port = 0;
  uint32_t state = 0;
  bool orphan = false;  ///< no process has it any more
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

/// "0100007F:0019"
void take_end(const std::string& text, IpAddress& ip, uint16_t& port) {
  const size_t colon = std::min(text.find(':'), text.size());
  if (const auto address = address_of(std::string_view(text).substr(0, colon))) ip = *address;
  if (colon < text.size()) std::from_chars(text.data() + colon + 1, text.data() + text.size(), port, 16);
}

std::string shown(const IpAddress& ip, uint16_t port) {
  return fmt::format(fmt::runtime(ip.is_v4() ? "{}:{}" : "[{}]:{}"), ip.to_string(), port);
}

void each_socket(bool v6, const std::function<void(const Socket&)>& use) {
  std::ifstream in(v6 ? "/proc/net/tcp6" : "/proc/net/tcp");
  std::string line, number, local, remote, state, queues, timer, retries, user, timeout, inode;
  std::getline(in, line);
  while (in >> number >> local >> remote >> state >> queues >> timer >> retries >> user >> timeout >> inode &&
         std::getline(in, line)) {
    Socket socket;
    take_end(local, socket.local, socket.port);
    take_end(remote, socket.remote, socket.remote_port);
    std::from_chars(state.data(), state.data() + state.size(), socket.state, 16);
    socket.orphan = inode == "0";
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

std::vector<DivertedSession> diverted_sessions(uint16_t port) {
  const std::set<IpAddress> own = own_addresses();
  std::vector<DivertedSession> sessions;
  for (const bool v6 : {false, true})
    each_socket(v6, [&](const Socket& s) {
      // An orphan in FIN-WAIT-2 has delivered all, and only waits for a sender that may never close.
      const bool over =
          s.state == kTimeWait || s.state == kClosed || s.state == kListen || (s.state == kFinWait2 && s.orphan);
      const bool loopback = s.local.is_v4() && s.local.v4_bits() >> 24 == 127;
      if (!over && s.port == port && !loopback && !own.contains(s.local))
        sessions.push_back({shown(s.local, s.port), shown(s.remote, s.remote_port)});
    });
  return sessions;
}

}  // namespace smtpscope
