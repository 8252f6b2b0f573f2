// The line of `list`, and the injection debug log.
#include "capture/transcript/harmless.h"
#include "capture/transcript/injection_log.h"
#include "capture/transcript/list_line.h"
#include "tests/capture/transcript/view_samples.h"
#include "tests/time_zone.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

SessionFacts cisco_facts() {
  SessionFacts facts;
  facts.icid = 6216;
  facts.started_us = 1'049'293'803'900'000;  // 2003-04-02 14:30:03.9 UTC
  facts.sender = {"172.16.0.22", 4000};
  return facts;
}

}  // namespace

TEST_CASE("list: a line a session, aligned") {
  CHECK(list_line(list_row(unknown_user()), 200, false) ==
        "2026-11-24 02:06:41Z  01KATZ9FXGQ8N5C4R2T7V6W0YB  203.0.113.9      rcpt-unknown-user   The gateway does not "
        "know the recipient <bob@gw.example>: 550 5.1.1 Recipient address rejected: User unknown");
  CHECK(list_line(list_row(delivered()), 100, false) ==
        "2026-11-24 02:06:41Z  01KATZ9FXGQ8N5C4R2T7V6W0YB  203.0.113.9      delivered in part   One messag...");
  ListRow bare;
  CHECK(list_line(bare, 80, false).empty());
}

TEST_CASE("list: a delivery that left recipients out stands out") {
  ListRow row = list_row(delivered());  // one of its two recipients got 450
  CHECK(row.left_out == 1);
  CHECK(list_line(row, 200, false).find("  delivered in part   One message") != std::string::npos);
  CHECK(list_line(row, 200, true).find("  \x1b[33mdelivered in part ") != std::string::npos);
  row.left_out = 0;
  CHECK(list_line(row, 200, false).find("  delivered           One message") != std::string::npos);
}

TEST_CASE("list: nothing hostile, never too wide, colour only on the outcome") {
  ListRow row = list_row(hostile());
  row.summary += "\x1b[31m\n\xE2\x80\xAE";
  row.code = "a-very-long-code-that-pushes\x1b";
  row.sender_ip = "2001:db8:1111:2222:3333:4444:5555:6666";
  for (const int width : {0, 60, 80, 100, 140, 300}) {
    const std::string line = list_line(row, width, false);
    CHECK(harmless(line) == line);
    CHECK(display_width(line) <= static_cast<size_t>(std::max(width, 60)));
  }
  CHECK(list_line(list_row(unknown_user()), 200, true).find("  \x1b[1;31mrcpt-unknown-user \x1b[0m  The gateway") !=
        std::string::npos);
}

TEST_CASE("injection log: Cisco's own example, from the bytes") {
  const TimeZone utc("UTC0");
  const std::vector<Record> records = {cisco_facts(),
                                       Chunk{From::gateway, 100'000, 0, "220 postman.example.com ESMTP\r\n"},
                                       Chunk{From::sender, 200'000, 0, "HELO mail.remotehost.com\r\n"}};
  CHECK(injection_log(records) ==
        "Wed Apr  2 14:30:04 2003 Info: 6216 Sent to '172.16.0.22': '220 postman.example.com ESMTP\\015\\012'\n"
        "Wed Apr  2 14:30:04 2003 Info: 6216 Rcvd from '172.16.0.22': 'HELO mail.remotehost.com\\015\\012'\n");
}

TEST_CASE("injection log: local time, line by line in the order of the bytes, quotes and bytes escaped, holes told") {
  const TimeZone local("EST5");
  const std::vector<Record> records = {cisco_facts(),
                                       GatewayConnect{},
                                       Chunk{From::sender, 0, 0, "D"},
                                       Chunk{From::sender, 0, 1, "A"},
                                       Chunk{From::gateway, 100'000, 0, "x'y\\z\xC3\xBC\r\nlast"},
                                       Chunk{From::sender, 1'100'000, 2, "TA\r\n\nbo"},
                                       Hole{From::sender, 1'200'000, 8, 5120, "body"},
                                       Closed{From::sender, 1'300'000, CloseHow::fin}};
  CHECK(injection_log(records) ==
        "Wed Apr  2 09:30:03 2003 Info: 6216 Rcvd from '172.16.0.22': 'DA'\n"
        "Wed Apr  2 09:30:04 2003 Info: 6216 Sent to '172.16.0.22': 'x\\'y\\\\z\\303\\274\\015\\012'\n"
        "Wed Apr  2 09:30:04 2003 Info: 6216 Sent to '172.16.0.22': 'last'\n"
        "Wed Apr  2 09:30:05 2003 Info: 6216 Rcvd from '172.16.0.22': 'TA\\015\\012'\n"
        "Wed Apr  2 09:30:05 2003 Info: 6216 Rcvd from '172.16.0.22': '\\012'\n"
        "Wed Apr  2 09:30:05 2003 Info: 6216 Rcvd from '172.16.0.22': 'bo'\n"
        "Wed Apr  2 09:30:05 2003 Info: 6216 Missing from '172.16.0.22': 5120 bytes (body)\n");
}

TEST_CASE("injection log: a line without an end goes on in the next, and no record but the facts gives nothing") {
  const std::string endless(InjectionLog::kMaxLine * 2 + 10, 'x');
  const std::string log = injection_log({cisco_facts(), Chunk{From::sender, 0, 0, endless}});
  CHECK(std::count(log.begin(), log.end(), '\n') == 3);
  CHECK(static_cast<size_t>(std::count(log.begin(), log.end(), 'x')) == endless.size());
  CHECK(injection_log({cisco_facts()}).empty());
  CHECK(injection_log({}).empty());
  CHECK(injection_log({Closed{}}).empty());
}
