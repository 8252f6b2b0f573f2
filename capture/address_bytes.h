// An IP address's text as bytes: the one place of `capture` that reads and writes addresses.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace smtpscope {

/// Network byte order; IPv4 as ::ffff:a.b.c.d, so that it compares and stands beside IPv6.
using AddressBytes = std::array<uint8_t, 16>;

/// The canonical text; a mapped IPv4 address as IPv4.
std::string address_text(const AddressBytes& bytes);

/// None if `ip` is no IPv4 or IPv6 address.
std::optional<AddressBytes> address_bytes(const std::string& ip);

}  // namespace smtpscope
