#include "config/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>

#include "config/ip.h"

namespace smtpscope {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// Largest first: the formatters take the first that divides.
constexpr std::array<Unit, 5> kDurations{{{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 4> kSizes{
    {{"TiB", uint64_t{1} << 40}, {"GiB", uint64_t{1} << 30}, {"MiB", uint64_t{1} << 20}, {"KiB", uint64_t{1} << 10}}};
constexpr std::array<Unit, 7> kOtherSizes{{{"", 1},
                                           {"B", 1},
                                           {"kB", 1000},
                                           {"KB", 1000},
                                           {"MB", 1'000'000},
                                           {"GB", 1'000'000'000},
                                           {"TB", 1'000'000'000'000}}};

struct Quantity {
  uint64_t number;
  std::string_view unit;
};

/// Digits and what follows them; nullopt without digits or when the number does not fit.
std::optional<Quantity> split(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return Quantity{number, text.substr(static_cast<size_t>(end - text.data()))};
}

template <size_t N>
const Unit* find_unit(const std::array<Unit, N>& units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

}  // namespace

Result<uint64_t> parse_duration_ms(std::string_view text) {
  const auto quantity = split(text);
  if (!quantity) return Error{fmt::format("{} is no duration: write one like \"30m\"", quoted(text))};
  if (quantity->unit.empty()) {
    return Error{fmt::format("{} has no unit: write \"{}s\", \"{}m\", \"{}h\" or \"{}d\"", quoted(text),
                             quantity->number, quantity->number, quantity->number, quantity->number)};
  }
  const Unit* unit = find_unit(kDurations, quantity->unit);
  if (!unit) {
    return Error{
        fmt::format("{} is no duration: it takes a whole number and one of the units ms, s, m, h, d", quoted(text))};
  }
  if (quantity->number > kMaxDurationMs / unit->factor) {
    return Error{fmt::format("{} is too long: at most {}", quoted(text), format_duration_ms(kMaxDurationMs))};
  }
  return quantity->number * unit->factor;
}

Result<uint64_t> parse_duration_limit_ms(std::string_view text) {
  if (text == kUnlimited) return uint64_t{0};
  auto ms = parse_duration_ms(text);
  if (ms && *ms == 0) return Error{fmt::format("{} is no limit: write \"unlimited\" for none", quoted(text))};
  return ms;
}

Result<uint64_t> parse_size(std::string_view text) {
  if (text == kUnlimited) return uint64_t{0};
  const auto quantity = split(text);
  const Unit* unit = quantity ? find_unit(kSizes, quantity->unit) : nullptr;
  if (quantity && !unit) unit = find_unit(kOtherSizes, quantity->unit);
  if (!unit) {
    return Error{
        fmt::format("{} is no size: write one like \"64KiB\", \"1MiB\", \"10GiB\", or \"unlimited\"", quoted(text))};
  }
  if (quantity->number == 0) return Error{fmt::format("{} is no size: write \"unlimited\" for no limit", quoted(text))};
  if (quantity->number > kMaxSize / unit->factor) {
    return Error{fmt::format("{} is too large: at most {}", quoted(text), format_size(kMaxSize))};
  }
  return quantity->number * unit->factor;
}

Result<HostPort> parse_host_port(std::string_view text) {
  const auto refuse = [&](std::string_view why) { return Error{fmt::format("{} {}", quoted(text), why)}; };
  std::string_view host;
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return refuse("lacks the closing bracket: write \"[2001:db8::1]:25\"");
    host = text.substr(1, close - 1);
    if (host.find(':') == std::string_view::npos)
      return refuse("has brackets, which are for IPv6: write \"192.0.2.1:25\"");
    if (close + 1 >= text.size() || text[close + 1] != ':') return refuse("has no port: write \"[2001:db8::1]:25\"");
    port = text.substr(close + 2);
  } else {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return refuse("has no port: write \"192.0.2.1:25\"");
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return refuse("is an IPv6 address without brackets: write \"[2001:db8::1]:25\"");
    }
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  const auto address = IpAddress::parse(host);
  if (!address) return refuse("has no valid IP address (host names are not looked up here): write \"192.0.2.1:25\"");
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number == 0) {
    return refuse("has no valid port: it is a number from 1 to 65535");
  }
  return HostPort{address->to_string(), number};
}

std::string format_duration_ms(uint64_t ms) {
  if (ms == 0) return "0s";
  for (const Unit& unit : kDurations) {
    if (ms % unit.factor == 0) return fmt::format("{}{}", ms / unit.factor, unit.name);
  }
  return fmt::format("{}ms", ms);
}

std::string format_duration_limit_ms(uint64_t ms) { return ms == 0 ? std::string(kUnlimited) : format_duration_ms(ms); }

std::string format_size(uint64_t bytes) {
  if (bytes == 0) return std::string(kUnlimited);
  for (const Unit& unit : kSizes) {
    if (bytes % unit.factor == 0) return fmt::format("{}{}", bytes / unit.factor, unit.name);
  }
  return fmt::format("{}", bytes);
}

std::string format_host_port(const HostPort& value) {
  const bool v6 = value.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", value.host, value.port) : fmt::format("{}:{}", value.host, value.port);
}

std::string quoted(std::string_view text) {
  constexpr size_t kMax = 80;
  std::string out = "\"";
  for (const char c : text.substr(0, kMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7E) {
      out += fmt::format("\\x{:02X}", byte);
    } else {
      out += c;
    }
  }
  out += text.size() > kMax ? "...\"" : "\"";
  return out;
}

}  // namespace smtpscope
