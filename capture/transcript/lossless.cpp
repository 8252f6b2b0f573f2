// lossless() and raw(): wire bytes to text and back. Most of mail is printable ASCII, so that is one scan and one copy.
#include "capture/transcript/plain.h"
#include "capture/transcript/transcript.h"
#include "capture/transcript/utf8.h"

namespace smtpscope {
namespace {

/// Where the bytes that stand for themselves end: printable ASCII but the backslash, and '\n'.
size_t plain_end(std::string_view text, size_t at) {
  for (;; ++at) {
    at += plain_length(text.substr(at));
    if (at == text.size() || (text[at] != '"' && text[at] != '\n')) return at;
  }
}

void append_hex(std::string& out, unsigned char byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += "\\x";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

/// Value of a hex digit, -1 if it is none.
int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string lossless(std::string_view raw) {
  size_t at = plain_end(raw, 0);
  if (at == raw.size()) return std::string(raw);
  std::string out;
  out.reserve(raw.size() + raw.size() / 4 + 16);
  out.append(raw, 0, at);
  while (at < raw.size()) {
    const auto byte = static_cast<unsigned char>(raw[at]);
    if (const size_t length = byte < 0x80 ? 0 : code_point_at(raw, at).length; length > 0) {
      out.append(raw, at, length);
      at += length;
    } else {
      if (byte == '\\')
        out += "\\\\";
      else
        append_hex(out, byte);
      ++at;
    }
    const size_t end = plain_end(raw, at);
    out.append(raw, at, end - at);
    at = end;
  }
  return out;
}

void make_lossless(std::string& text) {
  if (plain_end(text, 0) < text.size()) text = lossless(text);
}

std::string raw(std::string_view lossless_text) {
  std::string out;
  out.reserve(lossless_text.size());
  size_t at = 0;
  while (at < lossless_text.size()) {
    const size_t escape = lossless_text.find('\\', at);
    out.append(lossless_text, at, escape - at);
    if (escape == std::string_view::npos) break;
    const std::string_view rest = lossless_text.substr(escape);
    const int high = rest.size() >= 4 && rest[1] == 'x' ? digit_value(rest[2]) : -1;
    const int low = high >= 0 ? digit_value(rest[3]) : -1;
    if (rest.size() >= 2 && rest[1] == '\\') {
      out += '\\';
      at = escape + 2;
    } else if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      at = escape + 4;
    } else {
      out += '\\';
      at = escape + 1;
    }
  }
  return out;
}

}  // namespace smtpscope
