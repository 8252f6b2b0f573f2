#include <random>
#include <string>
#include <tuple>

#include "capture/smtp/body_scanner.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

auto seen(const BodyScanner& s) {
  return std::tuple(s.ended(), s.offset(), s.lines(), s.content_length(), s.safe(), s.look_alike(),
                    s.look_alike_content(), s.header_end());
}

/// Mostly long runs of text, with every kind of line end and dot line among them.
std::string random_body(std::mt19937& random) {
  constexpr const char* kPieces[] = {"\r\n", "\n", "\r", ".", "\r\n.", "\n.\r\n", "\r\n.\n", "\r\n..\r\n", "\r\n\r\n"};
  std::string body = random() % 2 == 0 ? "Subject: x\r\n\r\n" : "";
  const size_t pieces = random() % 40;
  for (size_t i = 0; i < pieces; ++i) {
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
