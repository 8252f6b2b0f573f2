#include <random>

#include "capture/transcript/plain.h"
#include "capture/transcript/transcript.h"
#include "capture/transcript/utf8.h"
#include "tests/catch.h"

using namespace smtpscope;

TEST_CASE("plain text and UTF-8 stand for themselves") {
  for (const char* text : {"", "250 Ok", "250-a\n250 b", "Grüße", "日本語 😀", "\xC2\x85", "\xE2\x80\xAE"})
    CHECK(lossless(text) == text);
}

TEST_CASE("control characters, backslashes and bytes that are no UTF-8 are spelled out") {
  CHECK(lossless("a\\b") == "a\\\\b");
  CHECK(lossless("\x1b[31m\t\r\x7f") == "\\x1b[31m\\x09\\x0d\\x7f");
  CHECK(lossless(std::string_view("\0x", 2)) == "\\x00x");
  CHECK(lossless("caf\xE9 au lait") == "caf\\xe9 au lait");
  CHECK(lossless("\xC3") == "\\xc3");                             // cut short
  CHECK(lossless("\xC0\xAF") == "\\xc0\\xaf");                    // overlong
  CHECK(lossless("\xED\xA0\x80") == "\\xed\\xa0\\x80");           // surrogate
  CHECK(lossless("\xF4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  CHECK(lossless("\xE2\x82\xC3\xBC") == "\\xe2\\x82\xC3\xBC");    // a broken one, then a good one
}

TEST_CASE("raw undoes lossless for any bytes") {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (size_t n = random() % 40; n > 0; --n)
      bytes += random() % 4 == 0 ? "\\x4\xC3\xBC\xE2\x82\n"[random() % 9] : static_cast<char>(random() % 256);
    const std::string text = lossless(bytes);
    REQUIRE(raw(text) == bytes);
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = code_point_at(text, at);
      REQUIRE(c.length > 0);
      REQUIRE((c.value >= 0x20 || c.value == '\n'));
      at += c.length;
    }
  }
}

TEST_CASE("raw keeps a malformed escape as it stands") {
  for (const char* text : {"\\", "\\x", "\\x4", "\\xg0", "\\x0g", "\\q", "a\\"}) CHECK(raw(text) == text);
  CHECK(raw("\\x4A\\x4a") == "JJ");
  CHECK(raw("\\\\x41") == "\\x41");
}

TEST_CASE("plain text ends at the first byte that is not plain, wherever that stands") {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool plain = byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\';
    for (size_t before = 0; before < 20; ++before)
      for (size_t behind = 0; behind < 20; ++behind)
        REQUIRE(plain_length(std::string(before, '~') + c + std::string(behind, ' ')) ==
                (plain ? before + 1 + behind : before));
  }
}
