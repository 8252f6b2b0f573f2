// PROXY headers as load balancers send them and as they should not be: whole, byte by byte, and with bytes behind them.
#include "proxy/net/proxy_protocol.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/catch.h"

using namespace smtpscope;
using State = ProxyHeader::State;

namespace {

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string bytes_of(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

/// A version 2 header: version and command, family and transport, what follows the length.
std::string v2(int version_command, int family, const std::string& body) {
  return kSignature +
         bytes_of({version_command, family, static_cast<int>(body.size() >> 8), static_cast<int>(body.size() & 255)}) +
         body;
}

std::string tlv(int type, const std::string& value) {
  return bytes_of({type, static_cast<int>(value.size() >> 8), static_cast<int>(value.size() & 255)}) + value;
}

/// 203.0.113.9:40000 -> 192.0.2.25:25
const std::string kV4 = bytes_of({203, 0, 113, 9, 192, 0, 2, 25, 0x9c, 0x40, 0, 25});
/// [2001:db8::9]:40000 -> [2001:db8::25]:25
const std::string kV6 = bytes_of({0x20, 1,    0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    9,    0x20, 1,
                                  0x0d, 0xb8, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0x9c, 0x40, 0,    25});

struct Good {
  const char* name;
  std::string header;
  bool names_ends;
  Endpoint source, destination;
};

std::vector<Good> good() {
  const Endpoint v4{"203.0.113.9", 40000}, to4{"192.0.2.25", 25}, v6{"2001:db8::9", 40000}, to6{"2001:db8::25", 25};
  return {
      {"v1 IPv4", "PROXY TCP4 203.0.113.9 192.0.2.25 40000 25\r\n", true, v4, to4},
      {"v1 IPv6", "PROXY TCP6 2001:db8::9 2001:db8::25 40000 25\r\n", true, v6, to6},
      {"v1 IPv6 at length", "PROXY TCP6 2001:0DB8:0:0:0:0:0:9 2001:db8::0:25 40000 25\r\n", true, v6, to6},
      {"v1 mapped", "PROXY TCP6 ::ffff:203.0.113.9 ::ffff:192.0.2.25 40000 25\r\n", true, v4, to4},
      {"v1 ports", "PROXY TCP4 203.0.113.9 192.0.2.25 0 65535\r\n", true, {"203.0.113.9", 0}, {"192.0.2.25", 65535}},
      {"v1 UNKNOWN", "PROXY UNKNOWN\r\n", false, {}, {}},
      {"v1 UNKNOWN with a rest",
       "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
       false,
       {},
       {}},
      {"v2 IPv4", v2(0x21, 0x11, kV4), true, v4, to4},
      {"v2 IPv6", v2(0x21, 0x21, kV6), true, v6, to6},
      {"v2 extensions", v2(0x21, 0x11, kV4 + tlv(0xea, "vpce-1") + tlv(0x20, std::string(300, 'x'))), true, v4, to4},
      {"v2 an empty extension", v2(0x21, 0x21, kV6 + tlv(0x05, "")), true, v6, to6},
      {"v2 the largest", v2(0x21, 0x11, kV4 + tlv(0x04, std::string(4096 - 12 - 3, '\0'))), true, v4, to4},
      {"v2 LOCAL", v2(0x20, 0x00, ""), false, {}, {}},
      {"v2 LOCAL with addresses", v2(0x20, 0x11, kV4), false, {}, {}},
      {"v2 LOCAL with anything", v2(0x20, 0x00, "anything"), false, {}, {}},
      {"v2 UNSPEC", v2(0x21, 0x00, "anything at all"), false, {}, {}},
      {"v2 UNIX", v2(0x21, 0x31, std::string(216, 'u')), false, {}, {}},
      {"v2 UNIX with an extension", v2(0x21, 0x31, std::string(216, 'u') + tlv(4, "")), false, {}, {}},
  };
}

struct Bad {
  const char* name;
  std::string bytes;
};

std::vector<Bad> bad() {
  return {
      {"SMTP", "EHLO mx.sender.example\r\n"},
      {"TLS", bytes_of({0x16, 3, 1, 0})},
      {"lower case", "proxy TCP4 203.0.113.9 192.0.2.25 40000 25\r\n"},
      {"v1 no space", "PROXY\r\n"},
      {"v1 family", "PROXY UDP4 203.0.113.9 192.0.2.25 40000 25\r\n"},
      {"v1 no family", "PROXY  203.0.113.9 192.0.2.25 40000 25\r\n"},
      {"v1 other family", "PROXY TCP4 2001:db8::9 2001:db8::25 40000 25\r\n"},
      {"v1 other family still", "PROXY TCP6 203.0.113.9 192.0.2.25 40000 25\r\n"},
      {"v1 one address", "PROXY TCP4 203.0.113.9 40000 25\r\n"},
      {"v1 an octet", "PROXY TCP4 203.0.113.256 192.0.2.25 40000 25\r\n"},
      {"v1 a NUL", std::string("PROXY TCP4 203.0.113.9\0 192.0.2.25 40000 25\r\n", 45)},
      {"v1 a port", "PROXY TCP4 203.0.113.9 192.0.2.25 65536 25\r\n"},
      {"v1 a port's zero", "PROXY TCP4 203.0.113.9 192.0.2.25 040000 25\r\n"},
      {"v1 a port's sign", "PROXY TCP4 203.0.113.9 192.0.2.25 +4000 25\r\n"},
      {"v1 no port", "PROXY TCP4 203.0.113.9 192.0.2.25 40000\r\n"},
      {"v1 an empty port", "PROXY TCP4 203.0.113.9 192.0.2.25 40000 \r\n"},
      {"v1 two spaces", "PROXY TCP4  203.0.113.9 192.0.2.25 40000 25\r\n"},
      {"v1 a space behind", "PROXY TCP4 203.0.113.9 192.0.2.25 40000 25 \r\n"},
      {"v1 a word behind", "PROXY TCP4 203.0.113.9 192.0.2.25 40000 25 x\r\n"},
      {"v1 bare LF", "PROXY TCP4 203.0.113.9 192.0.2.25 40000 25\n"},
      {"v1 bare CR", "PROXY TCP4 203.0.113.9\r 192.0.2.25 40000 25\r\n"},
      {"v1 too long", "PROXY UNKNOWN " + std::string(107 - 14 - 1, 'x') + "\r\n"},
      {"v1 without end", "PROXY UNKNOWN " + std::string(200, 'x')},
      {"v2 signature", std::string("\r\n\r\n\0\r\nQUIT\r\n", 13)},
      {"v2 version", v2(0x11, 0x11, kV4)},
      {"v2 command", v2(0x22, 0x11, kV4)},
      {"v2 datagrams", v2(0x21, 0x12, kV4)},
      {"v2 UNIX datagrams", v2(0x21, 0x32, std::string(216, 'u'))},
      {"v2 no transport", v2(0x21, 0x10, kV4)},
      {"v2 family", v2(0x21, 0x41, kV4)},
      {"v2 short IPv4", v2(0x21, 0x11, kV4.substr(1))},
      {"v2 short IPv6", v2(0x21, 0x21, kV4)},
      {"v2 short UNIX", v2(0x21, 0x31, std::string(215, 'u'))},
      {"v2 torn extension", v2(0x21, 0x11, kV4 + bytes_of({4, 0}))},
      {"v2 long extension", v2(0x21, 0x11, kV4 + bytes_of({4, 0, 2, 1}))},
      {"v2 length of the checksum", v2(0x21, 0x11, kV4 + tlv(3, "12345"))},
      {"v2 checksum", v2(0x21, 0x11, kV4 + tlv(3, "1234"))},
      {"v2 checksum of LOCAL", v2(0x20, 0x00, tlv(3, "1234"))},
      {"v2 too long", kSignature + bytes_of({0x21, 0x11, 0x10, 0x01})},
  };
}

/// Bitwise CRC-32C, written apart from the parser's.
uint32_t castagnoli(const std::string& bytes) {
  uint32_t crc = 0xffffffff;
  for (const char c : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const bool one = ((static_cast<uint8_t>(c) >> bit) & 1U) != (crc & 1U);
      crc = (crc >> 1) ^ (one ? 0x82F63B78U : 0U);
    }
  return ~crc;
}

}  // namespace

TEST_CASE("PROXY headers are read whole, byte by byte, and with bytes behind them") {
  for (const Good& each : good()) {
    INFO(each.name);
    for (size_t n = 0; n < each.header.size(); ++n) {
      INFO("the first " << n << " bytes");
      REQUIRE(parse_proxy_header(each.header.substr(0, n)).state == State::incomplete);
    }
    for (const std::string& behind :
         {std::string(), std::string("EHLO mx.sender.example\r\n"), std::string("\r\n\0", 3), each.header}) {
      const ProxyHeader header = parse_proxy_header(each.header + behind);
      REQUIRE(header.state == State::complete);
      CHECK(header.size == each.header.size());
      CHECK(header.names_ends == each.names_ends);
      CHECK(header.source == each.source);
      CHECK(header.destination == each.destination);
    }
  }
}

TEST_CASE("what is no PROXY header is refused, and stays so whatever follows") {
  for (const Bad& each : bad()) {
    INFO(each.name);
    const ProxyHeader header = parse_proxy_header(each.bytes);
    CHECK(header.state == State::malformed);
    CHECK_FALSE(header.problem.empty());
    bool refused = false;
    for (size_t n = 0; n <= each.bytes.size(); ++n) {
      const State state = parse_proxy_header(each.bytes.substr(0, n)).state;
      REQUIRE(state != State::complete);
      CHECK((!refused || state == State::malformed));
      refused = state == State::malformed;
    }
    CHECK(parse_proxy_header(each.bytes + "more").state == State::malformed);
  }
}

TEST_CASE("a checksum is verified over the whole header") {
  CHECK(castagnoli("123456789") == 0xE3069283);
  for (const std::string& front : {kV4 + tlv(0x02, "gw.example"), kV4}) {
    const std::string blank = v2(0x21, 0x11, front + tlv(0x03, std::string(4, '\0')) + tlv(0x04, "pad"));
    const uint32_t crc = castagnoli(blank);
    std::string header = blank;
    const size_t at = 16 + front.size() + 3;
    for (size_t i = 0; i < 4; ++i) header[at + i] = static_cast<char>(crc >> (24 - 8 * i));
    CHECK(parse_proxy_header(header).state == State::complete);
    for (size_t i = 16; i < header.size(); ++i) {
      if (i == at - 3) continue;  // the checksum's type: without it there is none to verify
      std::string changed = header;
      changed[i] = static_cast<char>(changed[i] ^ 0x10);
      CHECK(parse_proxy_header(changed).state == State::malformed);
    }
  }
}

TEST_CASE("what is encoded is read back") {
  const Endpoint v4{"203.0.113.9", 40000}, to4{"192.0.2.25", 25}, v6{"2001:db8::9", 1}, to6{"2001:db8::25", 65535};
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2})
    for (const auto& [source, destination] :
         {std::pair(v4, to4), std::pair(v6, to6), std::pair(v4, to6), std::pair(v6, to4)}) {
      const std::string bytes = encode_proxy_header(version, source, destination);
      const ProxyHeader header = parse_proxy_header(bytes);
      REQUIRE(header.state == State::complete);
      CHECK(header.size == bytes.size());
      CHECK(header.names_ends);
      CHECK(header.source == source);
      CHECK(header.destination == destination);
    }
  CHECK(encode_proxy_header(ProxyVersion::v1, v4, to4) == "PROXY TCP4 203.0.113.9 192.0.2.25 40000 25\r\n");
  CHECK(encode_proxy_header(ProxyVersion::v2, v4, to4) == v2(0x21, 0x11, kV4));
  CHECK(encode_proxy_header(ProxyVersion::v1, v4, to6) == "PROXY TCP6 ::ffff:203.0.113.9 2001:db8::25 40000 65535\r\n");
}
