// Refusals for now and their retries; messages that were sent again after a lost reply.
#include "capture/summary/summary_text.h"
#include "tests/capture/summary/built.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

const std::string kGood = "use hello mail rcpt data body accepted bye\n";
const std::string kGreylisted =
    "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.0 <b@gw.example>: Greylisted\nuse bye\n";

uint64_t ends(const SenderSummary& s, Retry::End end) { return s.retry_ends[static_cast<size_t>(end)]; }

uint64_t all_ends(const SenderSummary& s) {
  return s.retry_ends[0] + s.retry_ends[1] + s.retry_ends[2] + s.retry_ends[3];
}

}  // namespace

TEST_CASE("put off, and delivered at the second try") {
  const SenderSummary s = summarize_one({{0, kGreylisted}, {15, kGood}});
  REQUIRE(s.retries.size() == 1);
  CHECK(s.retries[0].end == Retry::End::delivered);
  CHECK(s.retries[0].tries == 2);
  CHECK(s.retries[0].code == 450);
  CHECK(sentence(s.retries[0]).find("delivered after 15 min at the 2nd try") != std::string::npos);
  CHECK(s.messages[static_cast<size_t>(Outcome::put_off)] == 1);
  CHECK(s.messages[static_cast<size_t>(Outcome::delivered)] == 1);
}

TEST_CASE("put off and never tried again, as far as the window shows") {
  const SenderSummary s = summarize_one({{0, kGreylisted}}, 40);
  REQUIRE(s.retries.size() == 1);
  CHECK(s.retries[0].end == Retry::End::never);
  CHECK(sentence(s.retries[0]).find("never tried again (so far; the window ended 40 min later)") != std::string::npos);
}

TEST_CASE("several tries: their intervals are told") {
  const SenderSummary s = summarize_one({{0, kGreylisted}, {5, kGreylisted}, {15, kGreylisted}}, 50);
  REQUIRE(s.retries.size() == 1);
  CHECK(s.retries[0].end == Retry::End::put_off_again);
  CHECK(s.retries[0].gaps_us == std::vector<int64_t>{5 * kMinute, 10 * kMinute});
  const std::string text = sentence(s.retries[0]);
  CHECK(text.find("not delivered in 3 tries over 15 min") != std::string::npos);
  CHECK(text.find("the window ended 35 min after the last") != std::string::npos);
  CHECK(text.find("between the tries 5 min, 10 min") != std::string::npos);
}

TEST_CASE("a retry may come from another host of the same network, and from no other") {
  CHECK(summarize({{0, kGreylisted, "203.0.113.9"}, {15, kGood, "203.0.113.77"}})[0].retries[0].last_ip ==
        "203.0.113.77");
  CHECK(summarize({{0, kGreylisted, "2001:db8:1:2::9"}, {15, kGood, "2001:db8:1:2:ffff::1"}})[0].retries[0].end ==
        Retry::End::delivered);
  CHECK(summarize({{0, kGreylisted, "203.0.113.9"}, {15, kGood, "203.0.114.9"}})[0].retries[0].end ==
        Retry::End::never);
  CHECK(summarize({{0, kGreylisted, "2001:db8:1:2::9"}, {15, kGood, "2001:db8:1:3::9"}})[0].retries[0].end ==
        Retry::End::never);
}

TEST_CASE("another envelope is no retry; case makes no other envelope") {
  const std::string other = "use hello mail\nS RCPT TO:<x@gw.example>\nG 250 ok\nuse data body accepted bye\n";
  CHECK(ends(summarize_one({{0, kGreylisted}, {15, other}}), Retry::End::never) == 1);
  const std::string shouted =
      "use hello\nS MAIL FROM:<A@Sender.Example>\nG 250 ok\nS RCPT TO:<B@GW.example>\nG 250 ok\nuse data body accepted "
      "bye\n";
  CHECK(ends(summarize_one({{0, kGreylisted}, {15, shouted}}), Retry::End::delivered) == 1);
}

TEST_CASE("put off at MAIL, at DATA and at the end count for all recipients") {
  const std::string at_mail = "use hello\nS MAIL FROM:<a@sender.example>\nG 451 4.3.0 busy\nuse bye\n";
  const SenderSummary s = summarize_one({{0, at_mail}, {10, kGood}});
  REQUIRE(s.retries.size() == 1);
  CHECK(s.retries[0].recipient == "b@gw.example");
  CHECK(s.retries[0].end == Retry::End::delivered);
  CHECK(ends(summarize_one({{0, "use hello mail rcpt\nS DATA\nG 451 4.3.0 later\nuse bye\n"}, {10, kGood}}),
             Retry::End::delivered) == 1);
  CHECK(ends(summarize_one({{0, "use hello mail rcpt data body\nG 451 4.7.1 later\nuse bye\n"}, {10, kGood}}),
             Retry::End::delivered) == 1);
}

TEST_CASE("put off, then refused for good") {
  const std::string refused = "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 no such user\nuse bye\n";
  CHECK(ends(summarize_one({{0, kGreylisted}, {15, refused}}), Retry::End::refused) == 1);
}

TEST_CASE("what was delivered or refused at once is no retry") {
  CHECK(all_ends(summarize_one(times(3, {0, kGood}))) == 0);
  CHECK(all_ends(summarize_one(
            times(3, {0, "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 no such user\nuse bye\n"}))) == 0);
}

TEST_CASE("sent again after the final reply was lost") {
  const std::string lost = "use hello mail rcpt data body\n+60\nS fin\n+2\nuse accepted\nG fin\n";
  const SenderSummary s = summarize_one({{0, lost}, {10, kGood}});
  REQUIRE(s.duplicates.size() == 1);
  CHECK(s.duplicates[0].by_hash);
  CHECK(s.duplicates[0].first_taken);
  const std::string text = sentence(s.duplicates[0]);
  CHECK(text.find("queue id 4F1A2B3C4D") != std::string::npos);
  CHECK(text.find("the gateway took both") != std::string::npos);
  CHECK(text.find(s.duplicates[0].first_id) != std::string::npos);
  CHECK(text.find(s.duplicates[0].second_id) != std::string::npos);

  const SenderSummary unseen = summarize_one({{0, "use hello mail rcpt data body\n+60\nS rst\n"}, {10, kGood}});
  REQUIRE(unseen.duplicates.size() == 1);
  CHECK(sentence(unseen.duplicates[0]).find("a duplicate is likely") != std::string::npos);
}

TEST_CASE("no duplicate: the reply was read, the body differs, the recipient does, or it came once") {
  const auto duplicates = [](const std::vector<Built>& sessions) { return summarize_one(sessions).duplicate_count; };
  const std::string lost = "use hello mail rcpt data body\n+60\nS fin\n+2\nuse accepted\nG fin\n";
  CHECK(duplicates({{0, kGood}, {10, kGood}}) == 0);
  CHECK(duplicates({{0, lost}}) == 0);
  CHECK(duplicates({{0, lost},
                    {10, "use hello mail rcpt data\nS Subject: a tesT\nS \nS Hello.\nS .\nuse accepted bye\n"}}) == 0);
  CHECK(duplicates({{0, lost},
                    {10, "use hello mail\nS RCPT TO:<c@gw.example>\nG 250 ok\nuse data body accepted bye\n"}}) == 0);
  CHECK(duplicates({{0, "use hello mail rcpt data body\n+1\nG 550 5.7.1 spam\nuse bye\n"}, {10, kGood}}) == 0);
}
