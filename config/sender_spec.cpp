#include "config/sender_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "config/units.h"

namespace smtpscope {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr size_t kMaxSpec = 300;  // "spf:" and the longest domain name, 253

bool only(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

/// A number of one to three digits, at most `max`.
std::optional<unsigned> small_number(std::string_view text, unsigned max) {
  if (text.empty() || text.size() > 3 || !only(text, kDigits)) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value <= max ? std::optional(value) : std::nullopt;
}

struct Partial {
  uint32_t bits = 0;
  unsigned octets = 0;
};

/// One to three octets, with or without a dot behind them.
std::optional<Partial> partial_v4(std::string_view text) {
  if (!text.empty() && text.back() == '.') text.remove_suffix(1);
  Partial out;
  while (true) {
    const size_t dot = std::min(text.find('.'), text.size());
    const auto octet = small_number(text.substr(0, dot), 255);
    if (!octet || out.octets == 3) return std::nullopt;
    out.bits |= static_cast<uint32_t>(*octet) << (24 - 8 * out.octets);
    ++out.octets;
    if (dot == text.size()) return out;
    text.remove_prefix(dot + 1);
  }
}

SenderSpec span(const IpAddress& first, const IpAddress& last) {
  return SenderSpec{SenderSpec::Kind::addresses, first, last, {}};
}

Error refuse(std::string_view text, std::string_view why) { return Error{fmt::format("{} {}", quoted(text), why)}; }

Result<SenderSpec> parse_network(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view base = text.substr(0, slash);
  auto address = IpAddress::parse(base);
  if (!address) {
    const auto partial = partial_v4(base);
    if (!partial) return refuse(text, "is no network: what stands before the / is no IP address");
    address = IpAddress::v4(partial->bits);
  }
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8: the address was folded, so the prefix length is too.
  const bool mapped = address->is_v4() && base.find(':') != std::string_view::npos;
  const unsigned max = address->is_v4() && !mapped ? 32 : 128;
  const auto bits = small_number(text.substr(slash + 1), max);
  if (!bits) return refuse(text, fmt::format("is no network: the prefix length is a number from 0 to {}", max));
  if (mapped && *bits < 96) return refuse(text, "mixes IPv4 and IPv6: name the two networks each for itself");
  const unsigned length = mapped ? *bits - 96 : *bits;
  return span(address->network(length), address->broadcast(length));
}

Result<SenderSpec> parse_range(std::string_view text, const IpAddress& first, std::string_view end) {
  auto last = IpAddress::parse(end);
  if (!last && first.is_v4()) {
    if (const auto octet = small_number(end, 255)) last = IpAddress::v4((first.v4_bits() & 0xFFFFFF00U) | *octet);
  }
  if (!last) return refuse(text, "is no range: write \"198.51.100.10-20\" or \"198.51.100.10-198.51.101.5\"");
  if (last->family() != first.family())
    return refuse(text, "is no range: it begins in one address family and ends in another");
  if (*last < first) return refuse(text, "is no range: it ends before it begins");
  return span(first, *last);
}

/// What is wrong with a domain name; empty if nothing is. RFC 1035 2.3.1 and 2.3.4, with the underscore that DNS has
/// too.
std::string_view fault_of_name(std::string_view name) {
  if (name.empty()) return "has no domain name";
  if (name.size() > 253) return "is too long for a domain name: at most 253 characters";
  if (name.find('.') == std::string_view::npos)
    return "is no address, network or range, and as a host name it lacks its domain";
  std::string_view label;
  while (true) {
    const size_t dot = std::min(name.find('.'), name.size());
    label = name.substr(0, dot);
    if (label.empty()) return "is no host name: two dots follow each other, or it ends in one";
    if (label.size() > 63) return "is no host name: more than 63 characters between dots";
    if (!only(label, "abcdefghijklmnopqrstuvwxyz0123456789-_")) {
      return "is no host name: it has other characters than letters, digits, - and . (international names: the xn-- "
             "form)";
    }
    if (label.front() == '-' || label.back() == '-') return "is no host name: a part of it begins or ends with -";
    if (dot == name.size()) break;
    name.remove_prefix(dot + 1);
  }
  // No top-level domain is one character or begins with a digit: this is a mistyped address, as in 10.2.3.x.
  if (label.size() < 2 || kDigits.find(label.front()) != std::string_view::npos)
    return "is neither an IP address nor a host name";
  return {};
}

Result<SenderSpec> parse_name(std::string_view text, SenderSpec::Kind kind, std::string_view name) {
  std::string canonical = lower(name);
  if (const auto fault = fault_of_name(canonical); !fault.empty()) return refuse(text, fault);
  return SenderSpec{kind, {}, {}, std::move(canonical)};
}

}  // namespace

std::string SenderSpec::key() const {
  return (kind == Kind::spf ? "spf:" : kind == Kind::mx ? "mx:" : kind == Kind::domain ? "." : "") + name;
}

Result<SenderSpec> parse_sender_spec(std::string_view text) {
  if (text.empty()) return Error{"an empty text names no sender"};
  if (text.size() > kMaxSpec) return refuse(text, "is too long for a sender");
  const std::string lowered = lower(text);
  if (lowered == "any") return SenderSpec{};
  if (lowered.starts_with("spf:")) return parse_name(text, SenderSpec::Kind::spf, text.substr(4));
  if (lowered.starts_with("mx:")) return parse_name(text, SenderSpec::Kind::mx, text.substr(3));
  if (const auto address = IpAddress::parse(text)) return span(*address, *address);
  if (text.find('/') != std::string_view::npos) return parse_network(text);
  // Host names have hyphens too; only what begins with an address is a range.
  if (const size_t hyphen = text.find('-'); hyphen != std::string_view::npos) {
    if (const auto first = IpAddress::parse(text.substr(0, hyphen)))
      return parse_range(text, *first, text.substr(hyphen + 1));
  }
  if (text.find(':') != std::string_view::npos)
    return refuse(text, "is no valid IPv6 address, and \"spf:\" and \"mx:\" are the only prefixes");
  if (only(text, "0123456789.")) {
    const auto partial = partial_v4(text);
    if (!partial) return refuse(text, "is no IPv4 address, nor the beginning of one");
    const unsigned bits = 8 * partial->octets;
    const IpAddress base = IpAddress::v4(partial->bits);
    return span(base.network(bits), base.broadcast(bits));
  }
  if (text.front() == '.') return parse_name(text, SenderSpec::Kind::domain, text.substr(1));
  return parse_name(text, SenderSpec::Kind::host, text);
}

}  // namespace smtpscope
