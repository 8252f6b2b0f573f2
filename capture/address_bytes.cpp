#include "capture/address_bytes.h"

#include <arpa/inet.h>

namespace smtpscope {

std::optional<AddressBytes> address_bytes(const std::string& ip) {
  AddressBytes bytes{};
  if (inet_pton(AF_INET6, ip.c_str(), bytes.data()) == 1) return bytes;
  bytes.fill(0);
  bytes[10] = bytes[11] = 0xff;
  if (inet_pton(AF_INET, ip.c_str(), bytes.data() + 12) == 1) return bytes;
  return std::nullopt;
}

}  // namespace smtpscope
