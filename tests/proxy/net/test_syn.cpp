#include <vector>

#include "proxy/net/syn.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

/// An IPv4 SYN with these flags and TCP options.
std::vector<uint8_t> ipv4_syn(uint8_t flags, std::vector<uint8_t> options) {
  while (options.size() % 4 != 0) options.push_back(0);
  std::vector<uint8_t> packet(40);
  packet[0] = 0x45;
  packet[8] = 61;
  packet[32] = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
  packet[33] = flags;
  for (const uint8_t byte : options) packet.push_back(byte);
  return packet;
}

}  // namespace

TEST_CASE("a SYN says its hop limit and its options") {
  const auto syn = parse_syn(ipv4_syn(0xC2, {2, 4, 0x05, 0xB4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7}));
  REQUIRE(syn);
  CHECK(*syn == SynFacts{61, 1460, 7, true, true, true});
  CHECK(*parse_syn(ipv4_syn(0x02, {})) == SynFacts{61, 0, -1, false, false, false});
}

TEST_CASE("an IPv6 SYN is read behind its header") {
  std::vector<uint8_t> packet(64);
  packet[0] = 0x60;
  packet[7] = 53;
  packet[52] = 6 << 4;
  packet[60] = 2, packet[61] = 4, packet[62] = 0x05, packet[63] = 0x8C;
  CHECK(*parse_syn(packet) == SynFacts{53, 1420, -1, false, false, false});
}

TEST_CASE("what is cut off or malformed is read as far as it goes") {
  const auto whole = ipv4_syn(0x02, {2, 4, 0x05, 0xB4, 3, 3, 7, 1});
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto syn = parse_syn(std::span(whole).first(size));
    CHECK(syn.has_value() == (size >= 40));
  }
  CHECK(parse_syn(ipv4_syn(0x02, {2, 4, 0x05, 0xB4, 3, 0, 7, 1}))->window_scale == -1);  // a length of 0
  CHECK(parse_syn(ipv4_syn(0x02, {2, 40, 0x05, 0xB4}))->mss == 0);                       // one past the end
}
