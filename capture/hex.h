// Bytes as lower-case hex, two digits a byte.
#pragma once

#include <cstddef>
#include <string>

namespace smtpscope {

template <class Bytes>
std::string to_hex(const Bytes& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out(2 * std::size(bytes), '\0');
  size_t at = 0;
  for (const auto byte : bytes) {
    out[at++] = kDigits[static_cast<unsigned char>(byte) >> 4];
    out[at++] = kDigits[static_cast<unsigned char>(byte) & 15];
  }
  return out;
}

}  // namespace smtpscope
