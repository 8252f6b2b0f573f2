#include "config/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace smtpscope {
namespace {

/// `count` leading ones in a 64-bit word; count 0..64.
uint64_t leading_ones(unsigned count) { return count == 0 ? 0 : ~uint64_t{0} << (64 - std::min(count, 64U)); }

unsigned bits_of_128(const IpAddress& address, unsigned bits) {
  return address.is_v4() ? 96 + std::min(bits, 32U) : std::min(bits, 128U);
}

}  // namespace

std::optional<IpAddress> IpAddress::from_bytes(std::span<const uint8_t> bytes) {
  const auto number = [&](size_t from, size_t count) {
    uint64_t value = 0;
    for (size_t i = from; i < from + count; ++i) value = value << 8 | bytes[i];
    return value;
  };
  if (bytes.size() == 4) return v4(static_cast<uint32_t>(number(0, 4)));
  if (bytes.size() == 16) return IpAddress(number(0, 8), number(8, 8));
  return std::nullopt;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  // inet_pton wants a C string and stops at NUL, so that "1.2.3.4\0x" must not get there.
  if (text.empty() || text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string copy(text);
  std::array<uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, copy.c_str(), bytes.data()) == 1) return from_bytes(std::span(bytes).first(4));
  if (inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return from_bytes(bytes);
  return std::nullopt;
}

std::string IpAddress::to_string() const {
  std::array<uint8_t, 16> bytes{};
  for (unsigned i = 0; i < 8; ++i) {
    bytes[i] = static_cast<uint8_t>(high_ >> (56 - 8 * i));
    bytes[8 + i] = static_cast<uint8_t>(low_ >> (56 - 8 * i));
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (is_v4()) {
    inet_ntop(AF_INET, bytes.data() + 12, text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
  }
  return text.data();
}

IpAddress IpAddress::network(unsigned bits) const {
  const unsigned all = bits_of_128(*this, bits);
  return IpAddress(high_ & leading_ones(std::min(all, 64U)), low_ & leading_ones(all > 64 ? all - 64 : 0));
}

IpAddress IpAddress::broadcast(unsigned bits) const {
  const unsigned all = bits_of_128(*this, bits);
  return IpAddress(high_ | ~leading_ones(std::min(all, 64U)), low_ | ~leading_ones(all > 64 ? all - 64 : 0));
}

}  // namespace smtpscope
