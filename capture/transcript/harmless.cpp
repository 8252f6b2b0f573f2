#include "capture/transcript/harmless.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "capture/transcript/unicode_width.h"
#include "capture/transcript/utf8.h"

namespace smtpscope {
namespace {

/// Combining marks that may stand in a row; with more of them text runs over the lines around it.
constexpr int kMaxMarks = 4;
/// Columns that the widest indivisible piece, \u{10ffff}, fits into.
constexpr size_t kLeast = 12;

struct Range {
  char32_t first, last;
};

/// Invisible, reordering, or without meaning to others: C1, general category Cf, line separators, fillers, surrogates,
/// private use, noncharacters.
constexpr std::array<Range, 34> kHidden{{
    {0x80, 0x9F},       {0xAD, 0xAD},       {0x34F, 0x34F},     {0x600, 0x605},      {0x61C, 0x61C},
    {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x890, 0x891},     {0x8E2, 0x8E2},      {0x115F, 0x1160},
    {0x17B4, 0x17B5},   {0x180B, 0x180F},   {0x200B, 0x200F},   {0x2028, 0x202E},    {0x2060, 0x206F},
    {0x2800, 0x2800},   {0x3164, 0x3164},   {0xE000, 0xF8FF},   {0xFDD0, 0xFDEF},    {0xFE00, 0xFE0E},
    {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0},   {0xFFF0, 0xFFFB},   {0xFFFE, 0xFFFF},    {0x110BD, 0x110BD},
    {0x110CD, 0x110CD}, {0x13430, 0x1345F}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},  {0x1FFFE, 0x1FFFF},
    {0x2FFFE, 0x2FFFF}, {0x3FFFE, 0x3FFFF}, {0xE0000, 0xE0FFF}, {0xF0000, 0x10FFFF},
}};

bool hidden(char32_t c) {
  const auto at = std::lower_bound(kHidden.begin(), kHidden.end(), c,
                                   [](const Range& range, char32_t value) { return range.last < value; });
  return at != kHidden.end() && at->first <= c;
}

void append_hex(std::string& out, uint32_t value, int digits) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += kHex[value >> shift & 15U];
}

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

/// The next piece of harmless text that may not be divided: an escape, or a character with its combining marks.
struct Piece {
  size_t bytes = 0, columns = 0;
};

Piece piece_at(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at);
  if (rest[0] == '\\' && rest.size() >= 2) {
    if (rest[1] == '\\') return {2, 2};
    if (rest[1] == 'x' && rest.size() >= 4 && is_hex(rest[2]) && is_hex(rest[3])) return {4, 4};
    const size_t close = rest.substr(0, 10).find('}');
    if (rest.starts_with("\\u{") && close != std::string_view::npos) return {close + 1, close + 1};
  }
  const CodePoint c = code_point_at(text, at);
  Piece piece{std::max<size_t>(c.length, 1), static_cast<size_t>(columns_of(c.value))};
  while (at + piece.bytes < text.size()) {
    const CodePoint mark = code_point_at(text, at + piece.bytes);
    if (mark.length == 0 || columns_of(mark.value) != 0) break;
    piece.bytes += mark.length;
  }
  return piece;
}

}  // namespace

std::string harmless(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  int marks = 0;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x20 && byte < 0x7F) {
      marks = 0;
      out += text[at++];
      continue;
    }
    const CodePoint c = code_point_at(text, at);
    if (byte < 0x80 || c.length == 0) {
      marks = 0;
      out += "\\x";
      append_hex(out, byte, 2);
      ++at;
      continue;
    }
    marks = columns_of(c.value) == 0 ? marks + 1 : 0;
    if (hidden(c.value) || marks > kMaxMarks || (marks > 0 && out.empty())) {
      out += "\\u{";
      append_hex(out, c.value, c.value > 0xFFFFF ? 6 : c.value > 0xFFFF ? 5 : 4);
      out += '}';
    } else {
      out.append(text, at, c.length);
    }
    at += c.length;
  }
  return out;
}

size_t display_width(std::string_view text) {
  size_t columns = 0;
  for (size_t at = 0; at < text.size();) {
    const Piece piece = piece_at(text, at);
    columns += piece.columns;
    at += piece.bytes;
  }
  return columns;
}

std::string fit(std::string_view text, size_t columns) {
  constexpr std::string_view kDots = "...";
  size_t used = 0, keep = 0;
  for (size_t at = 0; at < text.size();) {
    const Piece piece = piece_at(text, at);
    used += piece.columns;
    at += piece.bytes;
    if (used + kDots.size() <= columns) keep = at;
    if (used > columns) return std::string(text.substr(0, keep)) + std::string(kDots.substr(0, columns));
  }
  return std::string(text);
}

std::vector<std::string> wrap(std::string_view text, size_t first, size_t rest) {
  std::vector<std::string> lines;
  size_t begin = 0, at = 0, used = 0, blank = 0;  // `blank`: where a line could end, 0 for nowhere
  size_t room = std::max<size_t>(first, kLeast);
  size_t used_at_blank = 0;
  while (at < text.size()) {
    const Piece piece = piece_at(text, at);
    if (used + piece.columns <= room) {
      if (text[at] == ' ') blank = at, used_at_blank = used;
      used += piece.columns;
      at += piece.bytes;
      continue;
    }
    size_t end = at;
    if (text[at] != ' ' && blank > begin && used_at_blank * 2 >= room) end = blank;
    lines.emplace_back(text.substr(begin, end - begin));
    if (end < text.size() && text[end] == ' ') ++end;
    begin = at = end;
    used = blank = used_at_blank = 0;
    room = std::max<size_t>(rest, kLeast);
  }
  lines.emplace_back(text.substr(begin));
  return lines;
}

}  // namespace smtpscope
