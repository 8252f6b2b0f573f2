#include "capture/transcript/harmless.h"

#include <numeric>
#include <random>

#include "capture/transcript/transcript.h"
#include "capture/transcript/unicode_width.h"
#include "capture/transcript/utf8.h"
#include "tests/catch.h"

using namespace smtpscope;

TEST_CASE("what people write stays as it is") {
  for (const char* text :
       {"", "250 Ok", "C:\\\\mail",
        "Gr\xC3\xBC\xC3\x9F"
        "e",
        "\xE6\x97\xA5\xE6\x9C\xAC", "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D", "e\xCC\x81", "\xF0\x9F\x98\x80"})
    CHECK(harmless(text) == text);
}

TEST_CASE("what a terminal would obey or hide is spelled out") {
  CHECK(harmless("\x1b[2J\r\n\t\x08\x7f") == "\\x1b[2J\\x0d\\x0a\\x09\\x08\\x7f");
  CHECK(harmless("\xC2\x9B"
                 "31m") == "\\u{009b}31m");     // CSI as a C1 control
  CHECK(harmless("\xFF\xC3") == "\\xff\\xc3");  // no UTF-8
  CHECK(harmless("\xE2\x80\xAE"
                 "gpj.exe") == "\\u{202e}gpj.exe");                       // right-to-left override
  CHECK(harmless("\xE2\x81\xA6x\xE2\x81\xA9") == "\\u{2066}x\\u{2069}");  // isolates
  CHECK(harmless("a\xE2\x80\x8B"
                 "b\xEF\xBB\xBF") == "a\\u{200b}b\\u{feff}");                 // zero width
  CHECK(harmless("\xE2\x80\xA8\xC2\xAD") == "\\u{2028}\\u{00ad}");            // line separator, soft hyphen
  CHECK(harmless("\xF3\xA0\x81\x81") == "\\u{e0041}");                        // tag
  CHECK(harmless("\xEE\x80\x80\xF4\x8F\xBF\xBF") == "\\u{e000}\\u{10ffff}");  // private use, noncharacter
  CHECK(harmless(std::string_view("\0", 1)) == "\\x00");
}

TEST_CASE("piled up combining marks do not climb over the lines above") {
  std::string pile = "e";
  for (int i = 0; i < 6; ++i) pile += "\xCC\x81";
  CHECK(harmless(pile) == pile.substr(0, 9) + "\\u{0301}\\u{0301}");
  CHECK(harmless("\xCC\x81x") == "\\u{0301}x");  // nor does one at the begin sit on what stands before
}

TEST_CASE("width is counted as a terminal counts") {
  CHECK(display_width("abc") == 3);
  CHECK(display_width("\xE6\x97\xA5\xE6\x9C\xAC") == 4);
  CHECK(display_width("e\xCC\x81") == 1);
  CHECK(display_width("\xF0\x9F\x98\x80") == 2);
  CHECK(columns_of(U'\u0301') == 0);
  CHECK(columns_of(U'ü') == 1);
  CHECK(columns_of(U'\uFF21') == 2);
}

TEST_CASE("text is cut at a column, never inside an escape or a character") {
  CHECK(fit("abcdef", 6) == "abcdef");
  CHECK(fit("abcdefg", 6) == "abc...");
  CHECK(fit("ab\\x1bcdef", 8) == "ab...");
  CHECK(fit("\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", 5) == "\xE6\x97\xA5...");
  CHECK(fit("abcdef", 2) == "..");
  CHECK(fit("", 0).empty());
}

TEST_CASE("text is wrapped at blanks, or where it must be") {
  CHECK(wrap("", 20, 20) == std::vector<std::string>{""});
  CHECK(wrap("the quick brown fox jumps", 20, 20) == std::vector<std::string>{"the quick brown fox", "jumps"});
  CHECK(wrap("aaaaaaaaaaaaaaaaaaaaaaaaa", 20, 12) == std::vector<std::string>{"aaaaaaaaaaaaaaaaaaaa", "aaaaa"});
  CHECK(wrap("a bbbbbbbbbbbbbbbbbbbbb", 12, 12) == std::vector<std::string>{"a bbbbbbbbbb", "bbbbbbbbbbb"});
  CHECK(wrap("aaaaaaaaaa\\x1bbb", 12, 12) == std::vector<std::string>{"aaaaaaaaaa", "\\x1bbb"});
  CHECK(wrap("\\u{10ffff}\\u{10ffff}", 1, 1) == std::vector<std::string>{"\\u{10ffff}", "\\u{10ffff}"});
}

TEST_CASE("any bytes: nothing but printable text comes out, and wrapping loses only blanks") {
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (size_t n = random() % 60; n > 0; --n) switch (random() % 4) {
        case 0:
          bytes += static_cast<char>(random() % 256);
          break;
        case 1:
          bytes += "\\x1b u{}"[random() % 8];
          break;
        case 2:
          bytes += std::string_view("\xCC\x81\xE6\x97\xA5\xE2\x80\xAE").substr(random() % 3 * 3, 3);
          break;
        default:
          bytes += static_cast<char>('a' + random() % 26);
      }
    for (const std::string& text : {harmless(bytes), harmless(lossless(bytes))}) {
      for (size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        REQUIRE(c.length > 0);
        REQUIRE(c.value >= 0x20);
        REQUIRE_FALSE((c.value >= 0x7F && c.value < 0xA0));
        REQUIRE_FALSE((c.value >= 0x202A && c.value <= 0x202E));
        at += c.length;
      }
      REQUIRE(harmless(text) == text);
      std::string joined, wanted;
      for (const std::string& line : wrap(text, 17, 13)) {
        REQUIRE(display_width(line) <= 17);
        joined += line;
      }
      std::copy_if(joined.begin(), joined.end(), std::back_inserter(wanted), [](char c) { return c != ' '; });
      std::string kept;
      std::copy_if(text.begin(), text.end(), std::back_inserter(kept), [](char c) { return c != ' '; });
      REQUIRE(wanted == kept);
      REQUIRE(display_width(fit(text, 15)) <= 15);
    }
  }
}
