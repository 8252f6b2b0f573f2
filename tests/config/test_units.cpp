// Durations, sizes and addresses: what is read, what is refused with which hint, and that texts come back as they were.
#include "config/units.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

/// The error of a result, "" for none.
template <class T>
std::string error_of(const Result<T>& result) {
  return result ? std::string() : result.error();
}

bool says(const std::string& message, const std::string& part) {
  INFO(message << " | should say: " << part);
  CHECK(message.find(part) != std::string::npos);
  return message.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("durations") {
  CHECK(*parse_duration_ms("500ms") == 500);
  CHECK(*parse_duration_ms("90s") == 90'000);
  CHECK(*parse_duration_ms("30m") == 1'800'000);
  CHECK(*parse_duration_ms("2h") == 7'200'000);
  CHECK(*parse_duration_ms("7d") == 604'800'000);
  CHECK(*parse_duration_ms("0s") == 0);
  CHECK(*parse_duration_ms("36500d") == kMaxDurationMs);
  CHECK(*parse_duration_limit_ms("unlimited") == 0);
  CHECK(*parse_duration_limit_ms("1ms") == 1);
  says(error_of(parse_duration_limit_ms("0s")), "write \"unlimited\"");
  says(error_of(parse_duration_ms("30")), "write \"30s\", \"30m\", \"30h\" or \"30d\"");
  for (const auto* bad : {"", "m", "-5m", "1.5h", "5 m", "5M", "5m ", "1h30m", "unlimited"}) {
    says(error_of(parse_duration_ms(bad)), "is no duration");
  }
  says(error_of(parse_duration_ms("36501d")), "too long");
  says(error_of(parse_duration_ms("18446744073709551615d")), "too long");
  says(error_of(parse_duration_ms("99999999999999999999s")), "is no duration");
}

TEST_CASE("sizes") {
  CHECK(*parse_size("512") == 512);
  CHECK(*parse_size("512B") == 512);
  CHECK(*parse_size("64KiB") == 65'536);
  CHECK(*parse_size("1MiB") == 1'048'576);
  CHECK(*parse_size("10GiB") == 10'737'418'240);
  CHECK(*parse_size("10MB") == 10'000'000);
  CHECK(*parse_size("unlimited") == 0);
  for (const auto* bad : {"", "MiB", "1mib", "1 MiB", "1M", "-1", "1.5GiB", "Unlimited"}) {
    says(error_of(parse_size(bad)), "is no size");
  }
  says(error_of(parse_size("0")), "write \"unlimited\"");
  says(error_of(parse_size("0MiB")), "write \"unlimited\"");
  says(error_of(parse_size("18446744073709551615TiB")), "too large");
}

TEST_CASE("what is formatted reads back, and in the largest unit that fits") {
  for (const auto* text : {"500ms", "90s", "30m", "2h", "7d", "0s", "61s", "1001ms"}) {
    CHECK(format_duration_ms(*parse_duration_ms(text)) == text);
  }
  for (const auto* text : {"unlimited", "512", "64KiB", "1MiB", "10GiB", "1025", "1023TiB"}) {
    CHECK(format_size(*parse_size(text)) == text);
  }
  CHECK(format_duration_ms(*parse_duration_ms("60s")) == "1m");
  CHECK(format_duration_limit_ms(0) == "unlimited");
}

TEST_CASE("host and port") {
  CHECK(*parse_host_port("192.0.2.1:25") == HostPort{"192.0.2.1", 25});
  CHECK(*parse_host_port("[2001:DB8:0::1]:2525") == HostPort{"2001:db8::1", 2525});
  CHECK(*parse_host_port("[::ffff:192.0.2.1]:65535") == HostPort{"192.0.2.1", 65535});
  CHECK(format_host_port({"2001:db8::1", 25}) == "[2001:db8::1]:25");
  CHECK(format_host_port({"192.0.2.1", 25}) == "192.0.2.1:25");
  struct Row {
    const char *text, *reason;
  };
  const Row rows[] = {{"", "has no port"},
                      {"192.0.2.1", "has no port"},
                      {"[2001:db8::1]", "has no port"},
                      {"[2001:db8::1", "lacks the closing bracket"},
                      {"[192.0.2.1]:25", "brackets, which are for IPv6"},
                      {"2001:db8::1:25", "without brackets"},
                      {"gateway.example:25", "host names are not looked up"},
                      {":25", "no valid IP address"},
                      {"192.0.2.1:", "no valid port"},
                      {"192.0.2.1:0", "no valid port"},
                      {"192.0.2.1:65536", "no valid port"},
                      {"192.0.2.1:25x", "no valid port"},
                      {"192.0.2.1:-1", "no valid port"}};
  for (const Row& row : rows) says(error_of(parse_host_port(row.text)), row.reason);
}

TEST_CASE("hostile text is harmless in a message") {
  CHECK(quoted("a\x1b[31m\n\x80") == "\"a\\x1B[31m\\x0A\\x80\"");
  CHECK(quoted(std::string(1000, 'x')).size() == 80 + 5);
}
