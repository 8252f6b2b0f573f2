// What stands behind --since, --sender and the rest, and what is said of a word that none may stand there.
#include "proxy/commands/list_filters.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {
constexpr int64_t kNow = 1'795'485'600'000'000;  // 2026-11-24T02:00:00Z
std::string moment(const std::string& text) {
  const auto parsed = parse_moment(text, kNow);
  return parsed ? *parsed : "refused";
}
std::string error_of(const ListFilters& filters) {
  const auto query = query_of(filters, kNow);
  return query ? "" : query.error();
}
}  // namespace

TEST_CASE("moments: whole times, dates, and how long ago") {
  CHECK(moment("2026-11-24T02:06:41.123456Z") == "2026-11-24T02:06:41.123456Z");
  CHECK(moment("2026-11-24T02:06:41.5") == "2026-11-24T02:06:41.500000Z");
  CHECK(moment("2026-11-24 02:06") == "2026-11-24T02:06:00.000000Z");
  CHECK(moment("2026-11-24") == "2026-11-24T00:00:00.000000Z");
  CHECK(moment("30m") == "2026-11-24T01:30:00.000000Z");
  CHECK(moment("7d") == "2026-11-17T02:00:00.000000Z");
}

TEST_CASE("what is no moment is refused") {
  for (const char* text : {"", "yesterday", "2026-13-01", "2026-02-30", "2026-11-24T24:00:00Z", "2026-11-24T02:06:41.Z",
                           "2026-11-24T02:06:41.1234567Z", "2026-11-24T02", "-5m", "5", "2026-11-24T02:06:4"})
    CHECK(moment(text) == "refused");
}

TEST_CASE("a word that may not stand there is told with those that may") {
  CHECK(
      error_of({{}, {}, {"helo", "datta"}, {}, {}, "", ""}) ==
      "--phase: \"datta\" is none of connect, banner, helo, starttls, tls, auth, mail, rcpt, data, body, end-of-data, "
      "quit, idle");
  CHECK(error_of({{}, {}, {}, {"me"}, {}, "", ""}) ==
        "--party: \"me\" is none of sender, gateway, network, dns, policy, proxy, unknown");
  CHECK(error_of({{}, {}, {}, {}, {"bad"}, "", ""}) ==
        "--verdict: \"bad\" is none of delivered, breakdown, no-mail, unknown");
  CHECK(error_of({{"10.2.300"}, {}, {}, {}, {}, "", ""}).starts_with("--sender: "));
  CHECK(error_of({{"mx.example"}, {}, {}, {}, {}, "", ""}).find("needs DNS") != std::string::npos);
  CHECK(error_of({{}, {}, {}, {}, {}, "soon", ""}).starts_with("--since: \"soon\" is no time"));
}

TEST_CASE("senders become ranges of the index's addresses") {
  const auto query = query_of({{"192.0.2.0/24", "2001:db8::/32"}, {}, {}, {}, {}, "", ""}, kNow);
  REQUIRE(query);
  REQUIRE(query->senders.size() == 2);
  CHECK(query->senders[0].first == *address_bytes("192.0.2.0"));
  CHECK(query->senders[0].second == *address_bytes("192.0.2.255"));
  CHECK(query->senders[1].first == *address_bytes("2001:db8::"));
  CHECK(query->senders[1].second == *address_bytes("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"));
}
