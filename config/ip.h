// An IPv4 or IPv6 address as a value: parsed from and printed as text, compared, and taken from a socket's bytes.
//
// Both families share one space of 128 bits in which an IPv4 address is its IPv4-mapped form (::ffff:a.b.c.d, RFC 4291
// 2.5.5.2). So a peer that a dual-stack listener reports as ::ffff:192.0.2.1 *is* 192.0.2.1, by construction.
// Text is strict: no leading zeros, no zone ("%eth0"), no brackets, no port.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace smtpscope {

class IpAddress {
 public:
  enum class Family : uint8_t { v4, v6 };

  /// The unspecified IPv6 address, ::.
  constexpr IpAddress() = default;
  /// Network byte order read as a number: 192.0.2.1 is 0xC0000201.
  static constexpr IpAddress v4(uint32_t bits) { return IpAddress(0, kMapped | bits); }
  static constexpr IpAddress v6(uint64_t high, uint64_t low) { return IpAddress(high, low); }
  /// 4 or 16 bytes in network order, as in sin_addr and sin6_addr; nullopt for any other length.
  static std::optional<IpAddress> from_bytes(std::span<const uint8_t> bytes);
  /// Dotted quad or RFC 4291 text; nullopt for anything else.
  static std::optional<IpAddress> parse(std::string_view text);

  constexpr Family family() const { return high_ == 0 && (low_ >> 32) == (kMapped >> 32) ? Family::v4 : Family::v6; }
  constexpr bool is_v4() const { return family() == Family::v4; }
  constexpr uint64_t high() const { return high_; }
  constexpr uint64_t low() const { return low_; }
  /// The IPv4 address as a number; only for is_v4().
  constexpr uint32_t v4_bits() const { return static_cast<uint32_t>(low_); }

  /// Canonical: "192.0.2.1", "2001:db8::1" (RFC 5952).
  std::string to_string() const;

  /// The address after this one; the last one of all wraps to ::.
  constexpr IpAddress next() const { return IpAddress(high_ + (low_ == ~uint64_t{0} ? 1 : 0), low_ + 1); }
  /// The address before this one; that of :: wraps to the last one of all.
  constexpr IpAddress previous() const { return IpAddress(high_ - (low_ == 0 ? 1 : 0), low_ - 1); }
  /// First and last address of the network of `bits` leading bits (0..32 for IPv4, 0..128 for IPv6) that holds this
  /// one.
  IpAddress network(unsigned bits) const;
  IpAddress broadcast(unsigned bits) const;

  constexpr auto operator<=>(const IpAddress&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 errs

 private:
  static constexpr uint64_t kMapped = 0x0000'FFFF'0000'0000;
  constexpr IpAddress(uint64_t high, uint64_t low) : high_(high), low_(low) {}

  uint64_t high_ = 0;
  uint64_t low_ = 0;
};

}  // namespace smtpscope
