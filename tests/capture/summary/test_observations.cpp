// Patterns over a sender's sessions, each with its quiet neighbours.
#include "tests/capture/summary/built.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

const std::string kGood = "use hello mail rcpt data body accepted bye\n";

std::string gave_up(double seconds) { return fmt::format("+{}\nS fin\nG fin\n", seconds); }

std::vector<Built> gave_up_after(const std::vector<double>& seconds) {
  std::vector<Built> all;
  for (const double s : seconds) all.push_back({static_cast<double>(all.size()), gave_up(s)});
  return all;
}

std::string to(const std::string& recipient, const std::string& reply) {
  return "use hello mail\nS RCPT TO:<" + recipient + ">\nG " + reply + '\n' +
         (reply[0] == '2' ? "use data body accepted bye\n" : "use bye\n");
}

std::string sized(int bytes, bool good) {
  return fmt::format("use hello mail rcpt data\nS body {}\n{}", bytes,
                     good ? "S .\nuse accepted bye\n" : "+120\nS rst\n");
}

std::string greeted_after(double seconds) { return fmt::format("+{}\n", seconds) + kGood; }

}  // namespace

TEST_CASE("gave up at the same silence: a limit") {
  const SenderSummary s = summarize_one(gave_up_after({30.0, 30.1, 30.0}));
  const std::string text = observed(s, "same-silence");
  INFO(text);
  CHECK(text.find("The sender left after 30.0 s each time, waiting for the greeting") == 0);
  CHECK(text.find("a limit of 30 s at the sender") != std::string::npos);
  CHECK(observed(summarize_one(gave_up_after({3.0, 3.0, 3.01})), "same-silence").find("a limit of 3 s") !=
        std::string::npos);
  const std::string gateway = observed(
      summarize_one(times(3, {0, "use hello\n+300\nG 421 4.4.2 timeout\nG fin\nS fin\n"}, 10)), "same-silence");
  INFO(gateway);
  CHECK(gateway.find("The gateway left after 5 min each time, waiting for the sender") == 0);
}

TEST_CASE("no limit: too few, all different, too short, or few among many") {
  CHECK(observed(summarize_one(gave_up_after({30.0, 30.1})), "same-silence").empty());
  CHECK(observed(summarize_one(gave_up_after({5, 12, 31, 58})), "same-silence").empty());
  CHECK(observed(summarize_one(gave_up_after({0.5, 0.5, 0.5})), "same-silence").empty());
  CHECK(observed(summarize_one(gave_up_after({30, 30.1, 30.2, 5, 9, 14, 21, 50})), "same-silence").empty());
  CHECK(observed(summarize_one(times(5, {0, kGood})), "same-silence").empty());
}

TEST_CASE("the greeting comes later and later, or sooner") {
  std::vector<Built> slower, faster, noise;
  const double jumps[] = {1, 9, 2, 8, 1.5, 9, 3};
  for (int i = 0; i < 7; ++i) {
    slower.push_back({static_cast<double>(i), greeted_after(0.5 + i)});
    faster.push_back({static_cast<double>(i), greeted_after(7.5 - i)});
    noise.push_back({static_cast<double>(i), greeted_after(jumps[i])});
  }
  CHECK(observed(summarize_one(slower), "banner-slower").find("later and later over these 7 sessions") !=
        std::string::npos);
  CHECK_FALSE(observed(summarize_one(faster), "banner-faster").empty());
  for (const auto& quiet :
       {noise, times(7, {0, greeted_after(0.5)}), std::vector<Built>(slower.begin(), slower.begin() + 4)})
    CHECK(summarize_one(quiet).observations.empty());
}

TEST_CASE("the same round pause each time is policy; at multiples of 5 s a time-out fits too") {
  const SenderSummary s =
      summarize_one({{0, greeted_after(6.01)}, {5, greeted_after(6.05)}, {9, kGood}, {12, greeted_after(6.02)}});
  const std::string text = observed(s, "greeting-pause");
  INFO(text);
  CHECK(text.find("The greeting took 6.0 s each time (3 of 4 sessions, from 6.01 s to 6.05 s; the others were greeted "
                  "at once): a pause set by policy (Postfix's postscreen waits 6 s).") == 0);
  const std::string ten = observed(summarize_one(times(3, {0, greeted_after(10)})), "greeting-pause");
  CHECK(ten.find("resolvers ask again after 5 s") != std::string::npos);
  const std::string looked =
      observed(summarize_one(times(3, {0, "dns ok 0.1 mx.sender.example\n" + greeted_after(7)})), "greeting-pause");
  CHECK(looked.find("; the sender's reverse DNS was quick.") != std::string::npos);
  // postscreen sends its first line at once: the whole greeting counts.
  CHECK_FALSE(observed(summarize_one(times(3, {0, "G~220-gw.example\\r\\n\n+6\nG~220 gw.example\\r\\n\nuse bye\n"})),
                       "greeting-pause")
                  .empty());
}

TEST_CASE("no pause: too few, uneven, not round, or slow reverse DNS") {
  for (const auto& sessions : {times(2, {0, greeted_after(6)}),
                               std::vector<Built>{{0, greeted_after(6)}, {1, greeted_after(6)}, {2, greeted_after(9)}},
                               times(3, {0, greeted_after(6.5)}), times(4, {0, greeted_after(0.2)}),
                               times(3, {0, "dns timeout 5\n" + greeted_after(6)})})
    CHECK(observed(summarize_one(sessions), "greeting-pause").empty());
}

TEST_CASE("slow for many senders at once: load, or one pause for all") {
  const auto told = [](const std::vector<Built>& sessions, std::string_view kind) {
    std::string all;
    for (const SenderSummary& s : summarize(sessions)) all += observed(s, kind);
    return all;
  };
  const auto from = [](int network, double at_min, double delay) {
    return Built{at_min, greeted_after(delay), fmt::format("198.51.{}.7", network)};
  };
  const std::vector<Built> loaded{from(1, 0, 4.2), from(2, 0.1, 7.7), from(3, 0.2, 11.3), from(4, 0.3, 0.1)};
  const std::string load = told(loaded, "slow-for-all");
  INFO(load);
  CHECK(load.find("for 3 senders, and 1 were greeted at once: the gateway's load") == std::string::npos);  // 1 of 4
  const std::vector<Built> all_slow(loaded.begin(), loaded.begin() + 3);
  CHECK(told(all_slow, "slow-for-all")
            .find("About 12:00 UTC the greeting took 4.2 s to 11.3 s for 3 senders, and nobody was "
                  "greeted at once: the gateway's load") == 0);
  CHECK(told(all_slow, "pause-for-all").empty());
  const std::string pause = told({from(1, 0, 6), from(2, 0.1, 6.02), from(3, 0.2, 6.1)}, "pause-for-all");
  CHECK(pause.find("the same round time for all, so a pause set by policy") != std::string::npos);
  // Not at once, hosts of one network, or one of them with slow DNS of its own.
  CHECK(told({from(1, 0, 4.2), from(2, 10, 7.7), from(3, 20, 11.3)}, "slow-for-all").empty());
  CHECK(told({{0, greeted_after(4.2), "192.0.2.1"},
              {0, greeted_after(7.7), "192.0.2.2"},
              {0, greeted_after(11), "192.0.2.3"}},
             "slow-for-all")
            .empty());
  CHECK(told({from(1, 0, 4.2), from(2, 0, 7.7), {0, "dns timeout 9\n" + greeted_after(11), "203.0.113.9"}},
             "slow-for-all")
            .empty());
}

TEST_CASE("all recipients refused alike, or one domain only") {
  const std::string no = "550 5.7.1 rejected";
  const SenderSummary all =
      summarize_one({{0, to("a@x.example", no)}, {1, to("b@y.example", no)}, {2, to("c@z.example", no)}});
  CHECK(observed(all, "all-recipients-refused").find("All 3 recipients were refused in the same way (550 5.7.1)") == 0);

  const std::vector<Built> taken{
      {3, to("a@good.example", "250 ok")}, {4, to("b@good.example", "250 ok")}, {5, to("c@good.example", "250 ok")}};
  const std::vector<Built> refused{
      {0, to("a@bad.example", no)}, {1, to("b@bad.example", no)}, {2, to("c@bad.example", no)}};
  CHECK(observed(summarize_one(refused + taken), "one-domain-refused")
            .find("Only recipients at bad.example were refused: all 3") == 0);
}

TEST_CASE("refusals without a pattern") {
  const std::string no = "550 5.7.1 rejected";
  const auto quiet = [](const std::vector<Built>& sessions) {
    const SenderSummary s = summarize_one(sessions);
    return observed(s, "all-recipients-refused").empty() && observed(s, "one-domain-refused").empty();
  };
  CHECK(quiet({{0, to("a@x.example", no)}, {1, to("b@y.example", no)}}));
  CHECK(quiet({{0, to("a@x.example", no)}, {1, to("a@x.example", no)}, {2, to("a@x.example", no)}}));
  CHECK(quiet({{0, to("a@x.example", no)}, {1, to("b@y.example", "550 5.1.1 who")}, {2, to("c@z.example", no)}}));
  CHECK(quiet({{0, to("a@x.example", no)},
               {1, to("b@x.example", no)},
               {2, to("c@x.example", no)},
               {3, to("d@x.example", "250 ok")}}));
  CHECK(quiet({{0, to("a@x.example", no)},
               {1, to("b@y.example", no)},
               {2, to("c@x.example", no)},
               {3, to("d@z.example", "250 ok")},
               {4, to("e@z.example", "250 ok")},
               {5, to("f@z.example", "250 ok")}}));
}

TEST_CASE("only large messages fail") {
  const std::vector<Built> small = times(3, {0, sized(2000, true)});
  const SenderSummary s = summarize_one(small + times(3, {10, sized(40000, false)}));
  const std::string text = observed(s, "only-large-messages");
  INFO(text);
  CHECK(text.find("all 3 of 39 KiB or more failed, all 3 of 2.0 KiB or less were delivered") != std::string::npos);
  const auto quiet = [&](const std::vector<Built>& more) {
    return observed(summarize_one(small + more), "only-large-messages").empty();
  };
  CHECK(quiet(times(2, {10, sized(40000, false)})));
  CHECK(quiet(times(3, {10, sized(40000, false)}) + times(1, {20, sized(50000, true)})));
  CHECK(quiet(times(3, {10, sized(2100, false)})));
  CHECK(quiet(times(3, {10, to("x@gw.example", "550 5.1.1 who")})));
}

TEST_CASE("only with STARTTLS, only with one HELO name") {
  const std::string tls = "use hello\nS STARTTLS\nG 220 go\nS~\\x16\\x03\\x01\\x00\\x02\\x01\\x00\nG rst\n";
  const std::vector<Built> good = times(3, {10, kGood});
  const std::vector<Built> failed = times(3, {0, tls});
  CHECK(observed(summarize_one(failed + good), "only-with-starttls") ==
        "All 3 failed sessions began STARTTLS, none of the 3 delivered ones did.");
  CHECK(observed(summarize_one(times(2, {0, tls}) + good), "only-with-starttls").empty());
  CHECK(observed(summarize_one(failed + times(1, {5, to("x@gw.example", "550 no")}) + good), "only-with-starttls")
            .empty());

  const std::string named =
      "G 220 gw\nS EHLO bad.example\nG 250 gw\nS MAIL FROM:<a@sender.example>\nG 550 5.7.1 no\nuse bye\n";
  CHECK(observed(summarize_one(times(3, {0, named}) + good), "only-with-helo").find("called themselves bad.example") !=
        std::string::npos);
  CHECK(observed(summarize_one(times(3, {0, to("x@gw.example", "550 no")}) + good), "only-with-helo").empty());
}

TEST_CASE("a host that fails only over IPv6") {
  const std::string no = to("x@gw.example", "550 5.7.1 no PTR");
  const auto v6 = [](int count, const std::string& script) { return times(count, {0, script, "2001:db8::9"}); };
  const auto v4 = [](int count, const std::string& script) { return times(count, {0, script, "203.0.113.9"}); };
  const auto told = [](const std::vector<Built>& sessions) {
    std::string all;
    for (const SenderSummary& s : summarize(sessions)) all += observed(s, "only-over-ipv6");
    return all;
  };
  CHECK(told(v6(3, no) + v4(4, kGood)) ==
        "mx.sender.example fails only over IPv6: all 3 sessions over IPv6 failed, all 4 over IPv4 were delivered.");
  CHECK(told(v6(2, no) + v4(4, kGood)).empty());
  CHECK(told(v6(3, no) + v4(3, kGood) + v4(1, no)).empty());
  CHECK(told(v6(3, no) + v6(1, kGood) + v4(4, kGood)).empty());
}
