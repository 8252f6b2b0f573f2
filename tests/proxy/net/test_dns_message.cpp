// Answers of the DNS, whole, compressed, cut at each byte, and hostile.
#include <fmt/format.h>

#include "proxy/net/dns_message.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

std::string number(uint32_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 255);
  return out;
}

std::string wire(const std::string& name) {
  std::string out;
  for (size_t at = 0; at < name.size();) {
    const size_t dot = std::min(name.find('.', at), name.size());
    out += static_cast<char>(dot - at) + name.substr(at, dot - at);
    at = dot + 1;
  }
  return out + '\0';
}

const std::string kOwner = "\xC0\x0C";  // the question's name

std::string record(const std::string& owner, uint32_t type, uint32_t ttl, const std::string& data) {
  return owner + number(type, 2) + number(1, 2) + number(ttl, 4) + number(static_cast<uint32_t>(data.size()), 2) + data;
}

std::string message(const DnsQuestion& question, const std::vector<std::string>& records, uint32_t flags = 0x8180) {
  std::string out = number(7, 2) + number(flags, 2) + number(1, 2) + number(static_cast<uint32_t>(records.size()), 2) +
                    number(0, 4) + wire(question.name) + number(static_cast<uint32_t>(question.type), 2) + number(1, 2);
  for (const std::string& each : records) out += each;
  return out;
}

DnsAnswer parsed(const std::string& bytes, const DnsQuestion& question) {
  return parse_dns_answer({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, question);
}

}  // namespace

TEST_CASE("records of each type are read, with the least TTL") {
  const DnsQuestion a{"X.example", DnsType::a};
  const auto addresses =
      parsed(message({"x.example", DnsType::a},
                     {record(kOwner, 1, 300, number(0xC0000201, 4)), record(kOwner, 1, 60, number(0xC0000202, 4)),
                      record(wire("y.example"), 1, 5, number(0xC0000203, 4))}),
             a);
  CHECK(addresses.status == DnsAnswer::Status::ok);
  CHECK(addresses.ttl_s == 60);
  REQUIRE(addresses.addresses.size() == 2);
  CHECK(addresses.addresses[1].to_string() == "192.0.2.2");

  const DnsQuestion mx{"x.example", DnsType::mx};
  const auto exchangers = parsed(message(mx, {record(kOwner, 15, 9, number(20, 2) + wire("B.x.example")),
                                              record(kOwner, 15, 9,
                                                     number(10, 2) +
                                                         "\x01"
                                                         "a" +
                                                         kOwner),
                                              record(kOwner, 15, 9, number(5, 2) + wire("b\xFF.example"))}),
                                 mx);
  CHECK(exchangers.exchangers == std::vector<DnsAnswer::Exchanger>{{10, "a.x.example"}, {20, "b.x.example"}});
  const auto null = parsed(message(mx, {record(kOwner, 15, 9, number(0, 2) + std::string(1, '\0'))}), mx);
  CHECK(null.exchangers == std::vector<DnsAnswer::Exchanger>{{0, ""}});

  const DnsQuestion txt{"x.example", DnsType::txt};
  const auto texts = parsed(message(txt, {record(kOwner, 16, 9, "\x06v=spf1\x05 -all")}), txt);
  CHECK(texts.texts == std::vector<std::string>{"v=spf1 -all"});

  const DnsQuestion ptr{"1.2.0.192.in-addr.arpa", DnsType::ptr};
  const auto names = parsed(
      message(ptr, {record(kOwner, 12, 9, wire("MX.example")), record(kOwner, 12, 9, wire("a b.example"))}), ptr);
  CHECK(names.names == std::vector<std::string>{"mx.example"});
}

TEST_CASE("aliases are followed, in any order, and not for ever") {
  const DnsQuestion a{"x.example", DnsType::a};
  const auto answer = parsed(
      message(a, {record(wire("z.example"), 1, 300, number(0xC0000201, 4)),
                  record(wire("y.example"), 5, 30, wire("z.example")), record(kOwner, 5, 90, wire("Y.example"))}),
      a);
  CHECK(answer.status == DnsAnswer::Status::ok);
  CHECK(answer.ttl_s == 30);
  CHECK(parsed(message(a, {record(kOwner, 5, 90, kOwner)}), a).status == DnsAnswer::Status::no_data);
}

TEST_CASE("no record, no name and refusals are told apart") {
  const DnsQuestion a{"x.example", DnsType::a};
  CHECK(parsed(message(a, {}), a).status == DnsAnswer::Status::no_data);
  CHECK(parsed(message(a, {}, 0x8183), a).status == DnsAnswer::Status::no_name);
  CHECK(parsed(message(a, {}, 0x8182), a).status == DnsAnswer::Status::failed);
  CHECK(parsed(message(a, {}, 0x0180), a).status == DnsAnswer::Status::failed);  // a question
}

TEST_CASE("a message cut at any byte is a failure, and loops of names end") {
  const DnsQuestion mx{"x.example", DnsType::mx};
  const std::string whole = message(mx, {record(kOwner, 15, 9, number(20, 2) + wire("b.x.example"))});
  for (size_t n = 0; n < whole.size(); ++n) CHECK(parsed(whole.substr(0, n), mx).status == DnsAnswer::Status::failed);
  CHECK(parsed(message(mx, {record("\xC0\x1B", 15, 9, number(1, 2) + "\xC0\x1B")}), mx).status ==
        DnsAnswer::Status::failed);
}

TEST_CASE("names to ask for") {
  CHECK(is_dns_name("_spf.mx-1.example"));
  CHECK_FALSE(is_dns_name(""));
  CHECK_FALSE(is_dns_name("a..b"));
  CHECK_FALSE(is_dns_name("a.b."));
  CHECK_FALSE(is_dns_name("a\\b.example"));
  CHECK_FALSE(is_dns_name(std::string(64, 'a') + ".example"));
  CHECK(reverse_name(*IpAddress::parse("192.0.2.1")) == "1.2.0.192.in-addr.arpa");
  CHECK(reverse_name(*IpAddress::parse("2001:db8::567:89ab")) ==
        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}
