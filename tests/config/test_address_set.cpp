// Sets of addresses against brute force, and at the ends of both families.
#include <random>

#include "config/address_set.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

AddressRange range(const std::string& first, const std::string& last) {
  return {*IpAddress::parse(first), *IpAddress::parse(last)};
}

}  // namespace

TEST_CASE("ranges are joined where they touch, but never across the families") {
  const AddressSet set({range("10.0.0.4", "10.0.0.9"), range("10.0.0.0", "10.0.0.3"), range("10.0.0.11", "10.0.0.11"),
                        range("2001:db8::", "2001:db8::f"), range("255.255.255.255", "255.255.255.255")});
  CHECK(set.ranges() == std::vector<AddressRange>{range("10.0.0.0", "10.0.0.9"), range("10.0.0.11", "10.0.0.11"),
                                                  range("255.255.255.255", "255.255.255.255"),
                                                  range("2001:db8::", "2001:db8::f")});
}

TEST_CASE("everything is both families whole; taken from anything it leaves nothing") {
  AddressSet all = AddressSet::everything();
  CHECK(all.size() == 2);
  AddressSet some({range("0.0.0.0", "0.0.0.0"),
                   range("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")});
  all.add(some);
  CHECK(all == AddressSet::everything());
  some.remove(all);
  CHECK(some.empty());
  all.remove(AddressSet({range("::1", "::1"), range("0.0.0.0", "127.255.255.255")}));
  CHECK(all.ranges() == std::vector<AddressRange>{range("128.0.0.0", "255.255.255.255"), range("::", "::"),
                                                  range("::2", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")});
}

TEST_CASE("adding and removing is what it is bit by bit") {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    std::array<bool, 64> bits{};
    AddressSet set;
    for (int step = 0; step < 12; ++step) {
      const uint32_t a = random() % 64, b = random() % 64;
      const uint32_t first = std::min(a, b), last = std::max(a, b);
      const AddressSet other({{IpAddress::v4(first), IpAddress::v4(last)}});
      const bool add = random() % 2 == 0;
      if (add)
        set.add(other);
      else
        set.remove(other);
      for (uint32_t i = first; i <= last; ++i) bits[i] = add;
    }
    std::vector<AddressRange> expected;
    for (uint32_t i = 0; i < 64; ++i) {
      if (!bits[i]) continue;
      if (i > 0 && bits[i - 1])
        expected.back().last = IpAddress::v4(i);
      else
        expected.push_back({IpAddress::v4(i), IpAddress::v4(i)});
    }
    CHECK(set.ranges() == expected);
  }
}
