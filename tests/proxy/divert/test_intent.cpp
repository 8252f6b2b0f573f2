// From a configuration to what is asked of the kernel.
#include "proxy/divert/intent.h"

#include "config/loader.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

DivertPlanning plan(const std::string& text) {
  const auto settings = load_settings_text(text, "f");
  INFO((settings ? "" : settings.error()));
  REQUIRE(settings);
  return plan_divert(*settings);
}

/// With a listener for each family.
DivertPlanning plan_for(const std::string& rest) {
  return plan(R"({"listeners": [{"address": "0.0.0.0:10025", "accept": "tproxy"},
                                {"address": "[::]:10026", "accept": "tproxy"}], )" +
              rest + "}");
}

std::string fault(const DivertPlanning& planned) {
  return planned.faults.empty() ? "none" : planned.faults[0].pointer + ": " + planned.faults[0].message;
}

}  // namespace

TEST_CASE("exclusions are cut out of the senders, and neighbours become one range") {
  const auto p = plan_for(R"("capture": {"senders": ["10.2.3.0/25", "10.2.3.128/25", "10.2.5.7", "2001:db8::/126"],
                                         "exclude": ["10.2.3.9", "2001:db8::1"], "for": "90500ms"})");
  REQUIRE(p.faults.empty());
  CHECK(ranges_text(p.intent.families[0].senders) == "10.2.3.0-10.2.3.8, 10.2.3.10-10.2.3.255, 10.2.5.7");
  CHECK(ranges_text(p.intent.families[1].senders) == "2001:db8::, 2001:db8::2-2001:db8::3");
  CHECK(p.intent.families[0].listen_port == 10025);
  CHECK(p.intent.families[1].listen_port == 10026);
  CHECK(p.intent.for_s == 91);  // never sooner than the window
  CHECK(p.intent.port == 25);
  CHECK(p.warnings.size() == 2);  // anywhere, in both families
}

TEST_CASE("any is all of both families, to the last address") {
  const auto p = plan_for(R"("capture": {"senders": "any", "exclude": ["0.0.0.0", "255.255.255.255"]})");
  CHECK(ranges_text(p.intent.families[0].senders) == "0.0.0.1-255.255.255.254");
  CHECK(ranges_text(p.intent.families[1].senders) == "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  CHECK(p.intent.for_s == 0);
}

TEST_CASE("the gateway's address limits its own family, destinations limit both") {
  auto p = plan_for(R"("gateway": {"address": "10.0.0.1:2525"})");
  CHECK(p.intent.port == 2525);
  CHECK(ranges_text(p.intent.families[0].destinations) == "10.0.0.1");
  CHECK(p.intent.families[1].destinations.empty());
  CHECK(p.warnings.size() == 1);
  p = plan_for(R"("gateway": {"address": "10.0.0.1:25"}, "divert": {"destinations": ["10.0.0.2-3"]})");
  CHECK(ranges_text(p.intent.families[0].destinations) == "10.0.0.2-10.0.0.3");
  CHECK(p.intent.families[0].on());
  CHECK_FALSE(p.intent.families[1].on());
}

TEST_CASE("names are diverted by what DNS says of them; what it does not say is left out, and told") {
  const auto at = [](const char* address) {
    return AddressRange{*IpAddress::parse(address), *IpAddress::parse(address)};
  };
  const ResolvedNames names{{"spf:a.example", {{at("192.0.2.1"), at("192.0.2.9"), at("2001:db8::1")}}},
                            {"mx:part.example", {{at("192.0.2.7")}, false}},
                            {"b.example", {{at("192.0.2.9")}}}};
  const auto settings = load_settings_text(R"({"listeners": [{"address": "0.0.0.0:10025", "accept": "tproxy"},
      {"address": "[::]:10026", "accept": "tproxy"}], "divert": {"destinations": ["10.0.0.1", "2001:db8:2::1"]},
      "capture": {"senders": ["SPF:a.example", "mx:part.example", ".c.example", "gone.example"], "exclude": ["b.example"]}})",
                                           "test");
  REQUIRE(settings);
  const auto p = plan_divert(*settings, names);
  CHECK(p.faults.empty());
  CHECK(ranges_text(p.intent.families[0].senders) == "192.0.2.1, 192.0.2.7");
  CHECK(ranges_text(p.intent.families[1].senders) == "2001:db8::1");
  REQUIRE(p.warnings.size() == 3);
  CHECK(p.warnings[0].pointer == "/capture/senders/2");
  CHECK(p.warnings[1].message == "\"mx:part.example\" could be resolved only in part");
  CHECK(p.warnings[2].message == "\"gone.example\" could not be resolved, and is left out");
}

TEST_CASE("what cannot be diverted is refused with its place in the configuration") {
  CHECK(fault(plan_for(R"("capture": {"senders": ["mx.a.example"]})"))
            .starts_with("/capture/senders: none of the names has an address"));
  CHECK(fault(plan_for(R"("capture": {"senders": ["10.2.3", "mx.a.example"]})")) == "none");
  CHECK(fault(plan_for(R"("capture": {"exclude": ["mx.a.example"]})"))
            .starts_with("/capture/exclude/0: \"mx.a.example\" could"));
  CHECK(fault(plan_for(R"("capture": {"senders": ["10.2.3"], "exclude": [".a.example"]})")) == "none");
  CHECK(fault(plan_for(R"("capture": {"senders": ["10.2.3"], "exclude": ["any"]})")).find("nobody") !=
        std::string::npos);
  CHECK(
      fault(plan(R"({"listeners": [{"address": "0.0.0.0:25"}]})")).starts_with("/listeners: no listener for diverted"));
  CHECK(
      fault(plan(R"({"listeners": [{"address": "[::]:10025", "accept": "tproxy"}], "capture": {"senders": "10.2.3"}})"))
          .find("of the one family") != std::string::npos);
  CHECK(fault(plan(R"({"listeners": [{"address": "10.0.0.1:25", "accept": "tproxy"}]})")).find("0.0.0.0:25") !=
        std::string::npos);
  CHECK(fault(plan_for(R"("divert": {"bridge": "br0"})")).starts_with("/divert/bridge: on a bridge"));
  CHECK(fault(plan(R"({"listeners": [{"address": "0.0.0.0:25", "accept": "tproxy"}], "divert": {"bridge": "br0"}})")) ==
        "none");
  CHECK(
      fault(
          plan(R"({"listeners": [{"address": "0.0.0.0:25", "accept": "tproxy"}], "divert": {"bridge": "br0;reboot"}})"))
          .starts_with("/divert/bridge: is no name"));
}

TEST_CASE("open windows add their senders, each address for as long as the longest of them") {
  const auto settings = load_settings_text(
      R"({"listeners": [{"address": "0.0.0.0:10025", "accept": "tproxy"}],
          "capture": {"senders": ["10.2.3.0/24"], "exclude": ["10.2.3.9"], "for": "1m"}})",
      "f");
  REQUIRE(settings);
  const std::vector<DivertWindow> windows{{{"10.2.3.8-9", "255.255.255.255"}, {}, 600}, {{"10.2.4.1"}, {}, 0}};
  auto p = plan_divert(*settings, {}, windows);
  REQUIRE(p.faults.empty());
  CHECK(ranges_text(p.intent.families[0].senders) ==
        "10.2.3.0-10.2.3.7, 10.2.3.8-10.2.3.9, 10.2.3.10-10.2.3.255, 10.2.4.1, 255.255.255.255");
  CHECK(p.intent.families[0].senders_for_s == std::vector<uint64_t>{60, 600, 60, 0, 600});
  CHECK(ranges_text(joined(p.intent.families[0].senders)) == "10.2.3.0-10.2.3.255, 10.2.4.1, 255.255.255.255");
  p = plan_divert(*settings, {}, {}, 17);
  CHECK(p.intent.families[0].senders_for_s == std::vector<uint64_t>{17, 17});
  CHECK(p.intent.for_s == 60);
}

TEST_CASE("without senders there is nobody to divert until a window is open") {
  const auto settings = load_settings_text(
      R"({"listeners": [{"address": "0.0.0.0:10025", "accept": "tproxy"}], "capture": {"senders": []}})", "f");
  REQUIRE(settings);
  const auto p = plan_divert(*settings);
  CHECK(p.nobody);
  CHECK(fault(p).find("window open") != std::string::npos);
  auto towards = *settings;
  towards.divert.destinations = {"192.0.2.25"};
  CHECK(plan_divert(towards).faults.size() == 1);  // nothing is wrong with these
  CHECK(plan_divert(*settings, {}, {{{"10.2.3.4"}, {}, 5}}).faults.empty());
}
