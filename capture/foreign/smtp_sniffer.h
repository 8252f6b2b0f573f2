// Is a connection SMTP? On the usual ports whatever is said there is; on others the first bytes tell. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace smtpscope {

/// 25, 465, 587, 2525.
bool is_smtp_port(uint16_t port);

struct FirstBytes {
  std::array<std::string_view, 2> bytes;  ///< of each side, as far as they are known
  std::array<uint16_t, 2> ports{};
  std::optional<size_t> sender;  ///< the side that made the connection; none: its beginning was not captured
  bool ended = false;            ///< no more bytes come
};

enum class Sniffed : uint8_t { wait, smtp, other };

struct SniffResult {
  Sniffed what = Sniffed::wait;
  size_t sender = 0;  ///< which side it is, if smtp
};

SniffResult sniff_smtp(const FirstBytes& first);

}  // namespace smtpscope
