// Hosts, exchangers and SPF records against a DNS of a few lines: what is found, what is left out, what fails and
// where.
#include <fmt/format.h>

#include "tests/catch.h"
#include "tests/proxy/names/zone.h"

using namespace smtpscope;
using test::Zone;

namespace {

std::string text(const AddressSet& set) {
  std::string out;
  for (const AddressRange& range : set.ranges()) {
    if (!out.empty()) out += ' ';
    out += range.first.to_string();
    if (range.first != range.last) out += '-' + range.last.to_string();
  }
  return out;
}

struct Case {
  const char* what;
  const char* entry;
  const char* zone;
  const char* found;
  const char* failure;  ///< a part of it; empty: there is none
};

const Case kCases[] = {
    {"a host", "mx.p.example", "mx.p.example A 192.0.2.1\nmx.p.example A 192.0.2.3\nmx.p.example AAAA 2001:db8::1",
     "192.0.2.1 192.0.2.3 2001:db8::1", ""},
    {"a host of one family", "mx.p.example", "mx.p.example AAAA 2001:db8::1", "2001:db8::1", ""},
    {"no such host", "mx.p.example", "", "", "there is no such host"},
    {"no address", "mx.p.example", "mx.p.example TXT hello", "", "it has no address"},
    {"half an answer", "mx.p.example", "mx.p.example A 192.0.2.1\nmx.p.example AAAA FAIL", "192.0.2.1",
     "AAAA of mx.p.example: no answer in time"},

    {"exchangers", "mx:p.example",
     "p.example MX a.p.example\np.example MX b.p.example\na.p.example A 192.0.2.1\nb.p.example AAAA 2001:db8::b",
     "192.0.2.1 2001:db8::b", ""},
    {"one exchanger is not there", "mx:p.example",
     "p.example MX a.p.example\np.example MX b.p.example\na.p.example A 192.0.2.1", "192.0.2.1", ""},
    {"no exchanger is there", "mx:p.example", "p.example MX a.p.example", "", "there is no such host"},
    {"null MX", "mx:p.example", "p.example MX .", "", "null MX"},
    {"no MX: the host of that name", "mx:p.example", "p.example A 192.0.2.9", "192.0.2.9", ""},
    {"no such domain", "mx:p.example", "", "", "there is no such domain"},
    {"MX fails", "mx:p.example", "p.example MX FAIL", "", "MX of p.example: no answer in time"},

    {"ip4 and ip6", "spf:p.example", "p.example TXT v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all",
     "192.0.2.0-192.0.2.255 2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", ""},
    {"what is refused before does not pass", "spf:p.example",
     "p.example TXT v=spf1 -ip4:192.0.2.8/29 ~ip4:192.0.2.32 ?ip4:192.0.2.34 ip4:192.0.2.0/26 -all",
     "192.0.2.0-192.0.2.7 192.0.2.16-192.0.2.31 192.0.2.33 192.0.2.35-192.0.2.63", ""},
    {"what is refused behind does", "spf:p.example", "p.example TXT v=spf1 ip4:192.0.2.0/29 -ip4:192.0.2.4 -all",
     "192.0.2.0-192.0.2.7", ""},
    {"behind all is nothing", "spf:p.example", "p.example TXT v=spf1 ip4:192.0.2.1 -all ip4:192.0.2.9", "192.0.2.1",
     ""},
    {"a and mx, with networks", "spf:p.example",
     "p.example TXT v=spf1 a/30//126 a:b.p.example mx/31 -all\np.example A 192.0.2.5\np.example AAAA 2001:db8::5\n"
     "b.p.example A 198.51.100.1\np.example MX m.p.example\nm.p.example A 203.0.113.7",
     "192.0.2.4-192.0.2.7 198.51.100.1 203.0.113.6-203.0.113.7 2001:db8::4-2001:db8::7", ""},
    {"includes within includes", "spf:p.example",
     "p.example TXT v=spf1 include:a.example ip4:192.0.2.1 -all\na.example TXT v=spf1 include:b.example ~all\n"
     "b.example TXT v=spf1 ip4:198.51.100.0/24 ?all",
     "192.0.2.1 198.51.100.0-198.51.100.255", ""},
    {"what an include refuses, the includer may let pass", "spf:p.example",
     "p.example TXT v=spf1 include:a.example ip4:192.0.2.0/30 -all\na.example TXT v=spf1 -ip4:192.0.2.1 ip4:192.0.2.9 "
     "-all",
     "192.0.2.0-192.0.2.3 192.0.2.9", ""},
    {"-include takes out what the included lets pass", "spf:p.example",
     "p.example TXT v=spf1 -include:a.example ip4:192.0.2.0/30 -all\na.example TXT v=spf1 ip4:192.0.2.1 -all",
     "192.0.2.0 192.0.2.2-192.0.2.3", ""},
    {"redirect", "spf:p.example",
     "p.example TXT v=spf1 ip4:192.0.2.1 -ip4:192.0.2.2 redirect=a.example\na.example TXT v=spf1 ip4:192.0.2.0/30 -all",
     "192.0.2.0-192.0.2.1 192.0.2.3", ""},
    {"redirect beside all is void", "spf:p.example", "p.example TXT v=spf1 redirect=nowhere.example ip4:192.0.2.1 -all",
     "192.0.2.1", ""},
    {"the domain in a macro", "spf:p.example",
     "p.example TXT v=spf1 include:_spf.%{d} -all\n_spf.p.example TXT v=spf1 ip4:192.0.2.1", "192.0.2.1", ""},
    {"other TXT records are none", "spf:p.example",
     "p.example TXT google-site-verification=x\np.example TXT v=spf10 all\np.example TXT V=SPF1 ip4:192.0.2.1",
     "192.0.2.1", ""},
    {"an address twice is there once", "spf:p.example",
     "p.example TXT v=spf1 ip4:192.0.2.1 a ip4:192.0.2.0/31\np.example A 192.0.2.1", "192.0.2.0-192.0.2.1", ""},

    {"no SPF record", "spf:p.example", "p.example TXT hello", "", "p.example has no SPF record"},
    {"no domain", "spf:p.example", "", "", "there is no domain p.example"},
    {"two records", "spf:p.example", "p.example TXT v=spf1 ip4:192.0.2.1\np.example TXT v=spf1 -all", "",
     "p.example has 2 SPF records"},
    {"a record that is wrong", "spf:p.example", "p.example TXT v=spf1 ip4:192.0.2.1 ipv4:192.0.2.2", "",
     "the SPF record of p.example is wrong, gateways end with permerror: \"ipv4:192.0.2.2\""},
    {"TXT fails", "spf:p.example", "p.example TXT FAIL", "", "TXT of p.example: no answer in time"},
    {"an include without a record ends it there", "spf:p.example",
     "p.example TXT v=spf1 ip4:192.0.2.1 include:a.example ip4:192.0.2.9\na.example A 192.0.2.3", "192.0.2.1",
     "a.example has no SPF record"},
    {"an include that fails ends it there", "spf:p.example",
     "p.example TXT v=spf1 ip4:192.0.2.1 include:a.example ip4:192.0.2.9\na.example TXT FAIL", "192.0.2.1",
     "TXT of a.example: no answer in time"},
    {"a loop", "spf:p.example",
     "p.example TXT v=spf1 ip4:192.0.2.1 include:a.example\na.example TXT v=spf1 ip4:192.0.2.2 include:p.example",
     "192.0.2.1-192.0.2.2", "the SPF record of p.example leads back to itself"},
    {"a loop by redirect", "spf:p.example",
     "p.example TXT v=spf1 redirect=a.example\na.example TXT v=spf1 redirect=a.example", "",
     "the SPF record of a.example leads back to itself"},
    {"two names that are not there are let pass", "spf:p.example",
     "p.example TXT v=spf1 a:x.example mx:y.example ip4:192.0.2.1", "192.0.2.1", ""},
    {"three are not", "spf:p.example",
     "p.example TXT v=spf1 ip4:192.0.2.2 a:x.example a:y.example mx:z.example ip4:192.0.2.1", "192.0.2.2",
     "more than 2 names that are not there"},
};

/// A record that asks for `count` a's, each of which is there.
std::string many(int count) {
  std::string record = "p.example TXT v=spf1 ip4:203.0.113.1", hosts;
  for (int i = 0; i < count; ++i) {
    record += fmt::format(" a:h{}.example", i);
    hosts += fmt::format("\nh{}.example A 192.0.2.{}", i, 2 * i);
  }
  return record + " ip4:203.0.113.9" + hosts;
}

}  // namespace

TEST_CASE("names are resolved as the DNS says") {
  for (const Case& c : kCases) {
    INFO(c.what);
    const auto found = Zone(c.zone).search(c.entry);
    CHECK(text(found.addresses) == c.found);
    INFO(found.failure);
    if (*c.failure == '\0')
      CHECK(found.failure.empty());
    else
      CHECK(found.failure.find(c.failure) != std::string::npos);
    CHECK(found.left_out.empty());
  }
}

TEST_CASE("ten look-ups are enough, the eleventh ends it; what was found before counts") {
  const auto ten = Zone(many(10)).search("spf:p.example");
  CHECK(ten.failure.empty());
  CHECK(ten.addresses.size() == 12);
  Zone zone(many(11));
  const auto eleven = zone.search("spf:p.example");
  CHECK(eleven.failure.find("more than 10 look-ups") != std::string::npos);
  CHECK(eleven.addresses.size() == 11);
  CHECK(zone.asked == 1 + 2 * 10);
}

TEST_CASE("includes and exists count among the ten, in whatever record they stand") {
  std::string zone = "p.example TXT v=spf1 include:i0.example -all\n";
  for (int i = 0; i < 20; ++i)
    zone += fmt::format("i{}.example TXT v=spf1 ip4:192.0.2.{} exists:%{{i}}.x.example include:i{}.example -all\n", i,
                        2 * i, i + 1);
  const auto found = Zone(zone).search("spf:p.example");
  CHECK(found.failure.find("more than 10 look-ups") != std::string::npos);
  CHECK(text(found.addresses) == "192.0.2.0 192.0.2.2 192.0.2.4 192.0.2.6 192.0.2.8");
}

TEST_CASE("an mx of more than ten hosts is a permerror in SPF; an mx: entry takes the first ten") {
  std::string zone = "p.example TXT v=spf1 ip4:203.0.113.1 mx -all\n";
  for (int i = 0; i < 12; ++i) zone += fmt::format("p.example MX m{}.example\nm{}.example A 192.0.2.{}\n", i, i, 2 * i);
  const auto spf = Zone(zone).search("spf:p.example");
  CHECK(spf.failure.find("\"mx\": more than 10 mail exchangers") != std::string::npos);
  CHECK(text(spf.addresses) == "203.0.113.1");
  const auto mx = Zone(zone).search("mx:p.example");
  CHECK(mx.failure.empty());
  CHECK(mx.addresses.size() == 10);
  CHECK(mx.left_out == std::vector<std::string>{"2 exchangers behind the first 10"});
}

TEST_CASE("what depends on the session, and everybody, is left out and told") {
  const auto found =
      Zone("p.example TXT v=spf1 exists:%{i}._spf.%{d} ptr ptr:p.example include:%{s}.example ip4:192.0.2.1 +all\n")
          .search("spf:p.example");
  CHECK(text(found.addresses) == "192.0.2.1");
  CHECK(found.failure.empty());
  REQUIRE(found.left_out.size() == 5);
  CHECK(found.left_out[0] == "\"exists:%{i}._spf.%{d}\" (it depends on the session)");
  CHECK(found.left_out[4] == "\"+all\" (it would be everybody)");
}

TEST_CASE("the answer holds as long as its shortest part") {
  const auto found =
      Zone(
          "p.example TXT TTL 3600 v=spf1 a mx\np.example A TTL 77 192.0.2.1\np.example MX TTL 600 m.example\n"
          "m.example A TTL 90 192.0.2.7\n")
          .search("spf:p.example");
  CHECK(found.failure.empty());
  CHECK(found.ttl_s == 77);
}

TEST_CASE("more networks than there is room for are a failure") {
  std::string zone = "p.example TXT v=spf1 include:a.example -all\na.example TXT v=spf1";
  for (int i = 0; i < 5000; ++i) zone += fmt::format(" ip4:10.{}.{}.1", i / 256, i % 256);
  const auto found = Zone(zone).search("spf:p.example");
  CHECK(found.failure == "more than 4096 addresses and networks");
  CHECK(found.addresses.size() <= AddressSearch::kMaxRanges + 1);
}
