#include "capture/address_bytes.h"

#include <arpa/inet.h>

#include <algorithm>

namespace smtpscope {

std::optional<AddressBytes> address_bytes(const std::string& ip) {
  AddressBytes bytes{};
  if (inet_pton(AF_INET6, ip.c_str(), bytes.data()) == 1) return bytes;
  bytes.fill(0);
  bytes[10] = bytes[11] = 0xff;
  if (inet_pton(AF_INET, ip.c_str(), bytes.data() + 12) == 1) return bytes;
  return std::nullopt;
}

std::string address_text(const AddressBytes& bytes) {
  constexpr AddressBytes kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool v4 = std::equal(bytes.begin(), bytes.begin() + 12, kMapped.begin());
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(v4 ? AF_INET : AF_INET6, bytes.data() + (v4 ? 12 : 0), text, sizeof text);
  return text;
}

}  // namespace smtpscope
