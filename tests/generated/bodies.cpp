#include "tests/generated/bodies.h"

#include <string_view>

namespace smtpscope {
namespace {

// What stands in messages and looks like SMTP.
constexpr std::string_view kLines[] = {
    "Hello,",
    "",
    "MAIL FROM:<boss@gw.example>",
    "RCPT TO:<b@gw.example>",
    "DATA",
    "QUIT",
    "RSET",
    "STARTTLS",
    "AUTH PLAIN AGEAYg==",
    "BDAT 12 LAST",
    "250 2.0.0 Ok: queued as 4F1A2B3C4D",
    "550 5.1.1 User unknown",
    "421 4.4.2 timeout exceeded",
    ".",
    "..",
    "...",
    ".a line with a dot before it",
    ". ",
    ".\tQUIT",
    "Subject: not a header",
    "From the beginning of the line",
    "GET / HTTP/1.1",
    "The quick brown fox jumps over the lazy dog, again and again.",
    "a tab\tand a blank at the end ",
};

std::string text_line(Dice& dice, bool eight_bit) {
  switch (dice.below(12)) {
    case 0:
      return std::string(dice.between(900, 998), 'x');  // with CR LF, and not one more dot: 1000
    case 1:
      return eight_bit ? "Gr\xc3\xbc\xc3\x9f"
                         "e und \xe4\xf6\xfc"
                       : "=C3=BC=";
    case 2:
      return std::string(dice.between(1, 76), static_cast<char>(dice.between(' ', '~')));
    default:
      return std::string(dice.of(kLines));
  }
}

std::string header(Dice& dice) {
  std::string out = "From: a@sender.example\r\nTo: b@gw.example\r\nSubject: a test\r\n";
  for (uint64_t i = dice.below(4); i > 0; --i) out += "Received: from a by b; Tue, 24 Nov 2026 02:06:41 +0000\r\n";
  return out;
}

uint64_t lines_in(Dice& dice) { return dice.chance(2) ? dice.between(200, 800) : dice.below(12); }

}  // namespace

std::string lines_of(uint64_t bytes) {
  static constexpr std::string_view kRow = "The quick brown fox jumps over the lazy dog, again and again.\r\n";
  std::string out;
  out.reserve(bytes + kRow.size());
  while (out.size() < bytes) out += kRow;
  out.resize(bytes);
  if (out.ends_with('\r')) out.back() = '!';  // its LF is cut off
  return out;
}

std::string dotted_message(Dice& dice, bool eight_bit) {
  if (dice.chance(2)) return ".\r\n";  // an empty message is one
  std::string out = dice.chance(95) ? header(dice) : "";
  if (dice.chance(97)) out += "\r\n";
  for (uint64_t i = lines_in(dice); i > 0; --i) {
    std::string line = text_line(dice, eight_bit);
    if (line.starts_with('.')) line.insert(line.begin(), '.');
    if (line.size() > 998) line.resize(998);
    out += line + "\r\n";
  }
  // The sizes at which windows and buffers are full.
  static constexpr uint64_t kFull[] = {1448, 4096, 16'384, 65'535, 65'536};
  if (dice.chance(1)) out += lines_of(dice.of(kFull) - out.size() % 1024) + "\r\n";
  return out + ".\r\n";
}

std::string chunk_of_message(Dice& dice, bool binary, bool eight_bit) {
  static constexpr std::string_view kOdd[] = {
      "\r\n.\r\n", "\n.\n",        "\r.\r",     "\n.\r\n", "\r", "\n", "\r\nQUIT\r\n", "\r\n.\r\nMAIL FROM:<x@y>\r\n",
      ".\r\n",     "\r\nRSET\r\n", "BDAT 5\r\n"};
  std::string out = dice.chance(50) ? header(dice) : "";
  for (uint64_t i = dice.below(10); i > 0; --i) {
    out += dice.chance(40) ? std::string(dice.of(kOdd)) : text_line(dice, eight_bit) + (dice.chance(80) ? "\r\n" : "");
    if (binary)
      for (uint64_t k = dice.below(40); k > 0; --k) out += static_cast<char>(dice.below(256));
  }
  if (dice.chance(2)) out += std::string(dice.between(1000, 20'000), 'y');  // one long line
  return out;
}

}  // namespace smtpscope
