// What `divert status` says of senders, and which windows a proxy tells of.
#include "proxy/commands/divert_view.h"

#include "proxy/clock.h"
#include "proxy/divert/host_facts.h"
#include "tests/catch.h"

using namespace smtpscope;
using Words = std::vector<std::string>;

namespace {

/// As the kernel has them.
DivertStatus diverting(const std::string& elements) {
  const auto facts = read_host_facts({{"", ""},
                                      {"", ""},
                                      R"({"nftables": [
      {"table": {"family": "inet", "name": "smtpscope"}},
      {"set": {"family": "inet", "table": "smtpscope", "name": "capture4", "elem": )" +
                                          elements + "}}]}",
                                      "",
                                      0});
  REQUIRE(facts);
  DivertStatus s;
  s.is = DivertStatus::Is::on;
  DivertState& state = s.state.emplace();
  state.intent = R"({"ipv4": {"destinations": ""}})";
  s.senders = facts->senders_in_force;
  for (const SenderElement& element : facts->senders[0]) s.in_force[0].push_back(element.range);
  if (facts->senders_expire) s.ends_in_s = facts->senders_expire_in_s;
  s.ended = s.senders == 0;
  return s;
}

bool says(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("senders are shown as a person writes them, and time as in the list of windows") {
  DivertStatus s =
      diverting(R"([{"elem": {"val": {"range": ["10.2.4.0", "10.2.4.9"]}, "timeout": 1800, "expires": 100}},
      {"elem": {"val": {"prefix": {"addr": "10.2.2.0", "len": 24}}, "timeout": 1800, "expires": 1740}},
      {"elem": {"val": {"prefix": {"addr": "10.2.3.0", "len": 24}}, "timeout": 1800, "expires": 1740}},
      {"elem": {"val": "10.9.9.9", "timeout": 1800, "expires": 1740}}])");
  const auto json = divert_status_json(s, {});
  CHECK(json["diverted"]["senders"].get<Words>() == Words{"10.2.2.0-10.2.4.9", "10.9.9.9"});
  CHECK(json["diverted"]["destinations"].get<Words>() == Words{"any IPv4 address"});
  CHECK(json["windows"].is_null());
  const std::string text = divert_status_text(s, "");
  CHECK(says(text, "\nsenders: 10.2.2.0-10.2.4.9, 10.9.9.9\nfor another 29 min, until 2"));
  CHECK(says(text, "connections to port 25 of any IPv4 address\n"));
  CHECK(address_words({{IpAddress::v4(0x0A020200), IpAddress::v4(0x0A0203FF)}}) == Words{"10.2.2.0/23"});
  CHECK(address_words({{IpAddress::v4(0), IpAddress::v4(0xFFFFFFFF)}}) == Words{"any IPv4 address"});
  s.in_force = {AddressRanges{{IpAddress::v4(0), IpAddress::v4(0xFFFFFFFF)}},
                AddressRanges{{IpAddress::v6(0, 0), IpAddress::v6(~uint64_t{0}, ~uint64_t{0})}}};
  CHECK(says(divert_status_text(s, ""), "senders: any\n"));
}

TEST_CASE("where nobody is diverted it is said why, and what to do") {
  DivertStatus s = diverting("[]");
  CHECK(says(divert_status_text(s, ""), "the time of their windows is over, or these were closed"));
  const std::string closed = divert_status_text(s, "no window is open (it was closed): nobody is recorded");
  CHECK(says(closed, "it was closed"));
  CHECK(says(closed, "smtpscope window open"));
  CHECK_FALSE(says(closed, "time"));
  s.is = DivertStatus::Is::unfinished;
  s.ended = false;
  CHECK(says(divert_status_text(s, ""), "sessions in progress keep to their way"));
  CHECK_FALSE(says(divert_status_text(s, ""), "no end"));
}

TEST_CASE("windows as a proxy tells them") {
  const auto told = told_windows(R"({"windows": [
      {"id": "config", "senders": ["10.2.3"], "exclude": [], "left_ms": null},
      {"id": "3", "senders": ["10.9.9.9"], "exclude": ["10.1"], "left_ms": -5}]})");
  REQUIRE(told);
  CHECK((told->told && told->config && !told->none()));
  CHECK((told->config_left_s == 0 && told->opened[0].left_s == 1));
  CHECK(told->ids == Words{"config", "3"});
  CHECK(told_windows(R"({"windows": []})")->none());
  CHECK_FALSE(told_windows("[]"));
  CHECK_FALSE(told_windows(R"({"windows": [{}]})"));
}
