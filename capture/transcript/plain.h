// The text that needs no second look: most of mail is printable ASCII.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace smtpscope {

/// How many bytes at the front of `text` are printable ASCII other than quote and backslash.
inline size_t plain_length(std::string_view text) {
  // Eight bytes at a time: the high bit of a byte is set where it is something else (at or behind the first such byte).
  constexpr uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
  const auto equals = [](uint64_t word, uint64_t byte) {
    const uint64_t differs = word ^ (kOnes * byte);
    return (differs - kOnes) & ~differs;
  };
  size_t at = 0;
  for (; text.size() - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + at, sizeof word);
    const uint64_t control = word - kOnes * 0x20;
    if (((control | equals(word, '"') | equals(word, '\\') | equals(word, 0x7F) | word) & kHigh) != 0) break;
  }
  const auto plain = [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; };
  while (at < text.size() && plain(text[at])) ++at;
  return at;
}

}  // namespace smtpscope
