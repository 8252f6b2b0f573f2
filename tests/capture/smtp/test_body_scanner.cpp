#include <random>
#include <string>
#include <tuple>

#include "capture/smtp/body_scanner.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

auto seen(const BodyScanner& s) {
  const BodyOddities odd = s.oddities();
  const auto of = [](const BodyOddities::Seen& seen) { return std::pair(seen.count, seen.first); };
  return std::tuple(s.ended(), s.offset(), s.lines(), s.content_length(), s.safe(), s.look_alike(),
                    s.look_alike_content(), s.header_end(), of(odd.bare_lf), of(odd.bare_cr), of(odd.nul),
                    of(odd.eight_bit), of(odd.long_line), of(odd.look_alike), odd.look_alike_length, odd.stops_at_dot);
}

/// Mostly long runs of text, with every kind of line end and dot line among them.
std::string random_body(std::mt19937& random) {
  constexpr const char* kPieces[] = {"\r\n",    "\n",         "\r",       ".",     "\r\n.", "\n.\r\n",
                                     "\r\n.\n", "\r\n..\r\n", "\r\n\r\n", "\r.\r", "\xff"};
  std::string body = random() % 2 == 0 ? "Subject: x\r\n\r\n" : "";
  const size_t pieces = random() % 40;
  for (size_t i = 0; i < pieces; ++i) {
    if (random() % 20 == 0) body += random() % 2 == 0 ? '\0' : '.';
    if (random() % 3 > 0) body.append(random() % (random() % 8 == 0 ? 1500 : 90), 'a');
    body += kPieces[random() % std::size(kPieces)];
  }
  if (random() % 2 == 0) body += "\r\n.\r\nQUIT\r\n";
  return body;
}

}  // namespace

TEST_CASE("a body in one piece, byte by byte and in random pieces is the same body") {
  std::mt19937 random(11);
  size_t ended = 0, look_alikes = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::string body = random_body(random);
    BodyScanner whole(0), bytes(0), pieces(0);
    const size_t length = whole.feed(body);
    for (size_t i = 0; i < body.size() && !bytes.ended(); ++i) bytes.feed(std::string_view(body).substr(i, 1));
    for (size_t i = 0; i < body.size() && !pieces.ended();)
      i += pieces.feed(std::string_view(body).substr(i, 1 + random() % 700));
    REQUIRE(whole.offset() == length);
    REQUIRE(seen(whole) == seen(bytes));
    REQUIRE(seen(whole) == seen(pieces));
    ended += whole.ended() ? 1U : 0U;
    look_alikes += whole.look_alike() ? 1U : 0U;
  }
  CHECK(ended > 1000);
  CHECK(look_alikes > 500);
}

namespace {

BodyOddities oddities_of(std::string_view body) {
  BodyScanner scanner(100);
  scanner.feed(body);
  return scanner.oddities();
}

}  // namespace

TEST_CASE("what is no text of a mail is counted, and the first of it has its offset") {
  const std::string head = "Subject: x\r\n\r\n", text(300, 'a');
  const uint64_t at = 100 + head.size();
  const BodyOddities clean = oddities_of(head + text + "\r\n" + text + text + "\r\n..\r\n.\r\n");
  for (const auto* seen :
       {&clean.bare_lf, &clean.bare_cr, &clean.nul, &clean.eight_bit, &clean.long_line, &clean.look_alike})
    CHECK(seen->count == 0);
  const BodyOddities odd =
      oddities_of(head + text + "\n" + text + "\r" + text + std::string(2, '\0') + text + "\xc3\xa4\r\n" + text + "\n");
  CHECK(odd.bare_lf.count == 2);
  CHECK(odd.bare_lf.first == at + 300);
  CHECK(odd.bare_cr.count == 1);
  CHECK(odd.bare_cr.first == at + 601);
  CHECK(odd.nul.count == 2);
  CHECK(odd.nul.first == at + 902);
  CHECK(odd.eight_bit.first == at + 1204);
  CHECK(odd.long_line.count == 0);
}

TEST_CASE("a line may have 1000 bytes with its CR LF") {
  const std::string head = "Subject: x\r\n\r\n";
  CHECK(oddities_of(head + std::string(998, 'a') + "\r\n").long_line.count == 0);
  CHECK(oddities_of(head + "b\r\n" + std::string(998, 'a') + "\r\n").long_line.count == 0);
  const BodyOddities odd =
      oddities_of(head + "b\r\n" + std::string(999, 'a') + "\r\n" + std::string(5000, 'a') + "\r\n");
  CHECK(odd.long_line.count == 2);
  CHECK(odd.long_line.first == 100 + head.size() + 3);
  CHECK(oddities_of(std::string(999, 'a') + "\r\n").long_line.count == 1);
}

TEST_CASE("every look-alike of the end of data that some server takes is seen") {
  const std::string nul(1, '\0');
  for (const std::string& marker :
       {std::string("\n.\n"), std::string("\n.\r\n"), std::string("\r.\r"), std::string("\r.\r\n"),
        std::string("\r\n.\n"), std::string("\r\n.\r"), std::string("\n.\r"), std::string("\r.\n"),
        std::string("\r\n.\r\r\n"), "\r\n" + nul + ".\r\n", "\r" + nul + "\n.\r\n", "\r\n." + nul + "\r\n",
        "\r\n.\r" + nul + "\n"}) {
    const BodyOddities odd = oddities_of("Subject: x\r\n\r\nHello" + marker + "MAIL FROM:<a@b.example>\r\n");
    INFO(marker);
    CHECK(odd.look_alike.count == 1);
    CHECK(odd.look_alike.first >= 100 + 19);
    CHECK(odd.look_alike.first + odd.look_alike_length <= 100 + 19 + marker.size());
    CHECK_FALSE(odd.stops_at_dot);
  }
  CHECK(oddities_of("x\n.\n").stops_at_dot);
  CHECK(oddities_of("x\r\n.").stops_at_dot);
  CHECK_FALSE(oddities_of("x\r\n.\r\n").stops_at_dot);
  CHECK(oddities_of("U\r\nx" + nul + "." + nul + "y").look_alike.count == 0);
}
