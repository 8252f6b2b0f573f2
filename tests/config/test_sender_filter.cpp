// Each kind of entry by hand, what is refused and why, and the filter against brute force over random entries.
#include <random>

#include "config/sender_filter.h"
#include "config/sender_spec.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

IpAddress ip(const std::string& text) {
  const auto address = IpAddress::parse(text);
  INFO(text);
  REQUIRE(address);
  return *address;
}

SenderFilter filter(const std::vector<std::string>& senders, const std::vector<std::string>& exclude = {}) {
  auto built = SenderFilter::build(senders, exclude);
  INFO((built ? std::string() : built.error()));
  REQUIRE(built);
  return *built;
}

/// The entry that a filter of these senders names for an address, "-" for none.
std::string matched(const SenderFilter& f, const std::string& address) {
  const auto entry = f.match(ip(address));
  return entry ? std::string(*entry) : "-";
}

struct Interval {
  uint32_t first, last;
};

}  // namespace

TEST_CASE("addresses are canonical, and IPv4-mapped ones are IPv4") {
  CHECK(ip("::ffff:192.0.2.1") == ip("192.0.2.1"));
  CHECK(ip("::ffff:c000:201").to_string() == "192.0.2.1");
  CHECK(ip("2001:DB8:0:0:0:0:0:1").to_string() == "2001:db8::1");
  CHECK(ip("::").to_string() == "::");
  CHECK(ip("192.0.2.1").is_v4());
  CHECK_FALSE(ip("2001:db8::1").is_v4());
  for (const auto* bad :
       {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "fe80::1%eth0", "[::1]", "1.2.3.4 ", "::1::", "a.b.c.d"}) {
    INFO(bad);
    CHECK_FALSE(IpAddress::parse(bad));
  }
  CHECK_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)));
  const uint8_t four[] = {10, 2, 3, 4};
  CHECK(IpAddress::from_bytes(four)->to_string() == "10.2.3.4");
  CHECK_FALSE(IpAddress::from_bytes(std::span(four).first(3)));
}

TEST_CASE("each kind of entry covers its first and last address and not their neighbours") {
  struct Row {
    const char *spec, *below, *first, *last, *above;
  };
  const Row rows[] = {
      {"203.0.113.9", "203.0.113.8", "203.0.113.9", "203.0.113.9", "203.0.113.10"},
      {"203.0.113.0/24", "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
      {"203.0.113.77/24", "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
      {"203.0.113.9/32", "203.0.113.8", "203.0.113.9", "203.0.113.9", "203.0.113.10"},
      {"198.51.100.10-20", "198.51.100.9", "198.51.100.10", "198.51.100.20", "198.51.100.21"},
      {"198.51.100.10-198.51.101.5", "198.51.100.9", "198.51.100.10", "198.51.101.5", "198.51.101.6"},
      {"10.2.3", "10.2.2.255", "10.2.3.0", "10.2.3.255", "10.2.4.0"},
      {"10.2.3.", "10.2.2.255", "10.2.3.0", "10.2.3.255", "10.2.4.0"},
      {"10.2", "10.1.255.255", "10.2.0.0", "10.2.255.255", "10.3.0.0"},
      {"10.", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
      {"10.2.3/24", "10.2.2.255", "10.2.3.0", "10.2.3.255", "10.2.4.0"},
      {"2001:db8::/32", "2001:db7:ffff::", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
      {"2001:db8::1", "2001:db8::", "2001:db8::1", "2001:db8::1", "2001:db8::2"},
      {"2001:db8::1-2001:db8::ff", "2001:db8::", "2001:db8::1", "2001:db8::ff", "2001:db8::100"},
      {"::ffff:10.0.0.0/104", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
      {"2001:db8::/65", "2001:db7:ffff::", "2001:db8::", "2001:db8::7fff:ffff:ffff:ffff", "2001:db8:0:0:8000::"},
  };
  for (const Row& row : rows) {
    INFO(row.spec);
    const SenderFilter f = filter({row.spec});
    CHECK(matched(f, row.first) == row.spec);
    CHECK(matched(f, row.last) == row.spec);
    CHECK(matched(f, row.below) == "-");
    CHECK(matched(f, row.above) == "-");
  }
}

TEST_CASE("any covers both families; each family's whole network only its own") {
  const SenderFilter all = filter({"ANY"});
  for (const auto* address : {"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::1"}) {
    CHECK(matched(all, address) == "ANY");
  }
  CHECK(matched(filter({"0.0.0.0/0"}), "255.255.255.255") == "0.0.0.0/0");
  CHECK(matched(filter({"0.0.0.0/0"}), "2001:db8::1") == "-");
  CHECK(matched(filter({"::/0"}), "192.0.2.1") == "-");
  CHECK(matched(filter({"::/0"}), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == "::/0");
  CHECK(matched(filter({}), "192.0.2.1") == "-");
}

TEST_CASE("the narrowest entry speaks, exclude beats every entry") {
  const SenderFilter f = filter({"any", "10.0.0.0/8", "10.2.3.0/24", "10.2.3", "10.2.3.4"}, {"10.2.3.9", "10.9"});
  CHECK(matched(f, "10.2.3.4") == "10.2.3.4");
  CHECK(matched(f, "10.2.3.5") == "10.2.3.0/24");
  CHECK(matched(f, "10.3.0.1") == "10.0.0.0/8");
  CHECK(matched(f, "192.0.2.1") == "any");
  CHECK(matched(f, "10.2.3.9") == "-");
  CHECK(matched(f, "10.9.1.1") == "-");
  CHECK(matched(f, "10.2.3.10") == "10.2.3.0/24");
  CHECK(matched(filter({"10.2.3.4"}, {"any"}), "10.2.3.4") == "-");
}

TEST_CASE("names are accepted, match nothing until they are resolved, and are reported") {
  const SenderFilter f = filter({"mx.partner.example", "10.0.0.1", ".Partner.Example", "spf:partner.example"});
  CHECK(f.unresolved() == std::vector<std::string>{"mx.partner.example", "spf:partner.example"});
  CHECK(f.withheld().empty());
  CHECK(f.has_domains());
  CHECK(matched(f, "10.0.0.1") == "10.0.0.1");
  CHECK(matched(f, "10.0.0.2") == "-");
  CHECK(parse_sender_spec(".Partner.Example")->key() == ".partner.example");
  CHECK(parse_sender_spec("mx-1.partner.example")->kind == SenderSpec::Kind::host);
  CHECK(parse_sender_spec("SPF:partner.example")->key() == "spf:partner.example");
}

TEST_CASE("resolved names match by their addresses, as they were written") {
  const ResolvedNames names{
      {"spf:partner.example", {{{ip("10.0.0.0"), ip("10.0.0.255")}, {ip("2001:db8::1"), ip("2001:db8::1")}}}},
      {"mx.partner.example", {{{ip("10.0.0.7"), ip("10.0.0.7")}}}},
      {"mx:partner.example", {{}}}};
  const auto f = SenderFilter::build({"SPF:partner.example", "MX.partner.example"}, {"mx:partner.example"}, names);
  REQUIRE(f);
  CHECK(f->unresolved().empty());
  CHECK(matched(*f, "10.0.0.6") == "SPF:partner.example");
  CHECK(matched(*f, "10.0.0.7") == "MX.partner.example");
  CHECK(matched(*f, "2001:db8::1") == "SPF:partner.example");
  CHECK(matched(*f, "2001:db8::2") == "-");
  CHECK(f->ranges(IpAddress::Family::v4).size() == 1);
}

TEST_CASE("while it is not known whom an exclusion means, nobody matches") {
  for (const ResolvedNames& names :
       {ResolvedNames{}, ResolvedNames{{"a.example", {{{ip("10.0.0.1"), ip("10.0.0.1")}}, false}}}}) {
    const auto f = SenderFilter::build({"any", ".b.example"}, {"a.example"}, names);
    REQUIRE(f);
    CHECK(f->withheld() == std::vector<std::string>{"a.example"});
    CHECK(matched(*f, "10.0.0.2") == "-");
    CHECK_FALSE(f->needs_name(ip("10.0.0.2")));
    CHECK_FALSE(f->match(ip("10.0.0.2"), {"x.b.example"}, true));
  }
  const auto f = SenderFilter::build({"any"}, {"a.example"}, {{"a.example", {{{ip("10.0.0.1"), ip("10.0.0.1")}}}}});
  REQUIRE(f);
  CHECK(matched(*f, "10.0.0.1") == "-");
  CHECK(matched(*f, "10.0.0.2") == "any");
}

TEST_CASE("a domain is asked of the sender's names, where its address does not settle it") {
  using Names = std::vector<std::string>;
  const auto named = [](const SenderFilter& f, const std::string& address, const Names& names, bool all = true) {
    const auto entry = f.match(ip(address), names, all);
    return entry ? std::string(*entry) : "-";
  };
  const SenderFilter f = filter({".Partner.example", "10.0.0.0/8", ".mail.partner.example"}, {"10.9.9.9"});
  CHECK(f.needs_name(ip("192.0.2.1")));
  CHECK_FALSE(f.needs_name(ip("10.0.0.1")));
  CHECK_FALSE(f.needs_name(ip("10.9.9.9")));
  CHECK(named(f, "192.0.2.1", {"a.partner.example"}) == ".Partner.example");
  CHECK(named(f, "192.0.2.1", {"x.other.example", "a.mail.partner.example"}) == ".mail.partner.example");
  CHECK(named(f, "192.0.2.1", {"a.partner.example"}, false) == ".Partner.example");
  CHECK(named(f, "192.0.2.1", {"partner.example"}) == "-");
  CHECK(named(f, "192.0.2.1", {"xpartner.example"}) == "-");
  CHECK(named(f, "192.0.2.1", {}) == "-");
  CHECK(named(f, "10.9.9.9", {"a.partner.example"}) == "-");
  CHECK(named(f, "10.0.0.1", {"a.partner.example"}) == "10.0.0.0/8");

  const SenderFilter g = filter({"any"}, {".secret.example"});
  CHECK(g.needs_name(ip("192.0.2.1")));
  CHECK(named(g, "192.0.2.1", {"a.open.example"}) == "any");
  CHECK(named(g, "192.0.2.1", {}) == "any");
  CHECK(named(g, "192.0.2.1", {}, false) == "-");
  CHECK(named(g, "192.0.2.1", {"a.open.example", "b.secret.example"}) == "-");
}

TEST_CASE("what is no sender is refused with a reason") {
  struct Row {
    const char *spec, *reason;
  };
  const Row rows[] = {{"", "empty"},
                      {"10.2.300", "no IPv4 address, nor the beginning of one"},
                      {"10.2.3.4.", "no IPv4 address, nor the beginning of one"},
                      {"1.2.3.4.5", "no IPv4 address, nor the beginning of one"},
                      {"10..3", "no IPv4 address, nor the beginning of one"},
                      {"10.2.03", "no IPv4 address, nor the beginning of one"},
                      {"10.0.0.0/33", "from 0 to 32"},
                      {"10.0.0.0/", "from 0 to 32"},
                      {"10.0.0.0/-1", "from 0 to 32"},
                      {"2001:db8::/129", "from 0 to 128"},
                      {"::ffff:0.0.0.0/80", "mixes IPv4 and IPv6"},
                      {"partner/24", "before the / is no IP address"},
                      {"198.51.100.20-10", "ends before it begins"},
                      {"198.51.100.20-300", "no range"},
                      {"198.51.100.20-", "no range"},
                      {"198.51.100.20-2001:db8::", "begins in one address family"},
                      {"2001:db8::zz", "no valid IPv6 address"},
                      {"ptr:partner.example", "the only prefixes"},
                      {"anny", "lacks its domain"},
                      {"10.2.3.x", "neither an IP address nor a host name"},
                      {"10.2.3.*", "other characters"},
                      {"mx..example", "two dots"},
                      {"-mx.example.net", "begins or ends with -"},
                      {"spf:", "no domain name"},
                      {".", "no IPv4 address"},
                      {"m\xc3\xbcller.example", "xn--"}};
  for (const Row& row : rows) {
    const auto spec = parse_sender_spec(row.spec);
    INFO(row.spec << ": " << (spec ? "accepted" : spec.error()));
    REQUIRE_FALSE(spec);
    CHECK(spec.error().find(row.reason) != std::string::npos);
  }
  CHECK_FALSE(parse_sender_spec(std::string(5000, 'a') + ".example"));
  const auto built = SenderFilter::build({"any"}, {"10.2.300"});
  REQUIRE_FALSE(built);
  CHECK(built.error().starts_with("exclude: \"10.2.300\""));
}

TEST_CASE("random filters answer as a search through all entries does") {
  std::mt19937 random(20261124);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  // A small corner of the address space, so that entries overlap, nest and touch.
  constexpr uint32_t kBase = 0x0A000000;
  constexpr uint32_t kSpan = 1024;
  size_t hits = 0;
  for (int round = 0; round < 300; ++round) {
    const bool v6 = round % 2 == 1;
    const auto address = [&](uint32_t n) { return v6 ? IpAddress::v6(0x20010db8ULL << 32, n) : IpAddress::v4(n); };
    const auto make = [&](std::vector<std::string>& texts, std::vector<Interval>& intervals) {
      uint32_t first = kBase + below(kSpan);
      uint32_t last = first + below(kBase + kSpan - first);
      std::string text;
      if (below(2) == 0) {
        const unsigned bits = 22 + below(11);
        const unsigned host = 32 - bits;
        text = address(first).to_string() + "/" + std::to_string(v6 ? bits + 96 : bits);
        first = first >> host << host;
        last = first + ((1U << host) - 1);
      } else {
        text = address(first).to_string() + "-" + address(last).to_string();
      }
      texts.push_back(text);
      intervals.push_back({first, last});
    };
    std::vector<std::string> senders, exclude;
    std::vector<Interval> in, out;
    for (uint32_t n = below(12); n > 0; --n) make(senders, in);
    for (uint32_t n = below(3); n > 0; --n) make(exclude, out);
    const SenderFilter f = filter(senders, exclude);
    for (uint32_t n = kBase - 2; n < kBase + kSpan + 2; ++n) {
      const auto covers = [&](const Interval& i) { return i.first <= n && n <= i.last; };
      size_t best = in.size();
      for (size_t i = 0; i < in.size(); ++i) {
        if (covers(in[i]) && (best == in.size() || in[i].last - in[i].first < in[best].last - in[best].first)) best = i;
      }
      if (std::any_of(out.begin(), out.end(), covers)) best = in.size();
      const auto got = f.match(address(n));
      const bool right = best == in.size() ? !got : got && *got == senders[best];
      if (!right) {
        INFO("round " << round << ", " << address(n).to_string());
        REQUIRE(right);
      }
      hits += got ? 1U : 0U;
    }
  }
  CHECK(hits > 10'000);
}
