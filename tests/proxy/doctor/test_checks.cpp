// Each check from made-up facts: what it says, and that nothing fails which the configured mode does not need.
#include "proxy/doctor/checks.h"

#include <linux/capability.h>

#include <cerrno>
#include <set>

#include "config/loader.h"
#include "proxy/doctor/port_holder.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

constexpr uint64_t kAllCapabilities = ~uint64_t{0};

/// A host on which all is well, with these settings.
DoctorFacts healthy(const std::string& settings) {
  DoctorFacts f;
  f.settings = *load_settings_text(settings, "f");
  f.configured = f.root = true;
  f.kernel = "6.1.0";
  f.capabilities = kAllCapabilities;
  f.descriptors = 524288;
  f.nft = {true, true, ""};
  if (f.accepts(Accept::tproxy)) f.divert.emplace();
  f.routes = {{"192.0.2.25", true, "", "eth1", "", false, 1500, 0},
              {"203.0.113.1", false, "", "eth0", "198.51.100.1", false, 1500, 0}};
  f.default_routes = 1;
  for (const ListenerSettings& l : f.settings.listeners)
    f.ports.push_back({"listener", l.address, l.accept, 0, "", false});
  f.store = {f.settings.store.path, true, true, "", 0700, "ext4", 50ULL << 30, 100ULL << 30};
  f.clock = {true, 2000};
  f.resolver = ResolverFact{"192.0.2.25", {"ok", "gw.example", "ok", true, 3000, 3000}};
  f.probed = true;
  return f;
}

const char* const kTproxy =
    R"({"listeners": [{"address": "0.0.0.0:10025", "accept": "tproxy"}], "gateway": {"present": "sender"}})";
const char* const kDirect = R"({"listeners": [{"address": "0.0.0.0:25"}], "gateway": {"address": "192.0.2.25:25"}})";

/// The findings of one check.
HostFindings of(const DoctorFacts& facts, std::string_view name) {
  for (const CheckedFindings& checked : examine(facts))
    if (checked.check->name == name) return checked.findings;
  FAIL("no check " << name);
  return {};
}
Health worst(const DoctorFacts& facts, std::string_view name) {
  Health health = Health::ok;
  for (const HostFinding& f : of(facts, name))
    if (f.health != Health::skipped)
      health = std::max(health, f.health);
    else if (of(facts, name).size() == 1)
      health = Health::skipped;
  return health;
}

}  // namespace

TEST_CASE("a healthy host is fit in every mode, and every check has a name of its own") {
  for (const char* settings : {kTproxy, kDirect}) {
    const auto all = examine(healthy(settings));
    CHECK_FALSE(unfit(all));
    for (const CheckedFindings& checked : all) CHECK_FALSE(checked.findings.empty());
  }
  std::set<std::string_view> names;
  for (const Check& check : doctor_checks()) CHECK(names.insert(check.name).second);
}

TEST_CASE("what only a diversion needs fails with tproxy and is skipped without") {
  for (const auto& [settings, expected] : {std::pair{kTproxy, Health::failed}, std::pair{kDirect, Health::skipped}}) {
    DoctorFacts f = healthy(settings);
    f.missing_programs = {"nft"};
    f.nft = {true, false, "Error: Could not process rule: No such file or directory"};
    for (const char* check : {"programs", "kernel"}) CHECK(worst(f, check) == expected);
    f.divert = DivertFact{"there is nobody to divert", {}, {}};
    CHECK(worst(f, "divert") == expected);
    CHECK(worst(f, "kernel") == Health::skipped);  // it was not asked
  }
  DoctorFacts f = healthy(kTproxy);
  f.divert->nobody = true;
  CHECK(worst(f, "divert") == Health::skipped);
  CHECK(worst(f, "kernel") == Health::skipped);
  f = healthy(kTproxy);
  f.divert->changes = {"net/ipv4/conf/eth0/forwarding = 1"};
  f.divert->obstacles = {{"inet filter input", false, {"nft insert"}, {"nft delete"}}};
  CHECK(of(f, "divert").size() == 2);
  CHECK(worst(f, "divert") == Health::warning);
  f.divert.reset();
  f.root = false;
  f.nft.tried = false;
  CHECK(worst(f, "divert") == Health::skipped);
  CHECK(worst(f, "kernel") == Health::skipped);
}

TEST_CASE("capabilities are asked for where they are needed") {
  DoctorFacts f = healthy(kTproxy);
  f.capabilities = 0;
  CHECK(worst(f, "capabilities") == Health::failed);
  f.capabilities = 1ULL << CAP_NET_ADMIN;
  CHECK(worst(f, "capabilities") == Health::ok);
  f = healthy(kDirect);
  f.capabilities = 0;
  CHECK(of(f, "capabilities")[0].says.find("port 25") != std::string::npos);
  f.first_free_port = 0;
  CHECK(worst(f, "capabilities") == Health::ok);
}

TEST_CASE("a taken port says by whom; smtpscope itself may have it") {
  DoctorFacts f = healthy(kDirect);
  f.ports[0].error = EADDRINUSE;
  f.ports[0].holder = "master (pid 12)";
  CHECK(of(f, "ports")[0].says == "listener 0.0.0.0:25 is taken by master (pid 12)");
  CHECK(worst(f, "ports") == Health::failed);
  f.ports[0].ours = true;
  CHECK(worst(f, "ports") == Health::ok);
  f.ports[0].error = EADDRNOTAVAIL;
  CHECK(worst(f, "ports") == Health::failed);
  f.ports[0].error = EACCES;
  CHECK(worst(f, "ports") == Health::skipped);
}

TEST_CASE("routes: none to the gateway fails; a host beside the way is warned of") {
  DoctorFacts f = healthy(kTproxy);
  CHECK(worst(f, "routes") == Health::ok);
  f.routes[1].dev = "eth1";
  f.routes[1].via.clear();
  CHECK(worst(f, "routes") == Health::warning);
  f.routes[0].error = "RTNETLINK answers: Network is unreachable";
  CHECK(worst(f, "routes") == Health::failed);
  f = healthy(kDirect);
  f.routes[1] = f.routes[0];
  f.routes[1].gateway = false;
  CHECK(worst(f, "routes") == Health::ok);  // the gateway answers the proxy there
}

TEST_CASE("reverse path filter and packet sizes") {
  DoctorFacts f = healthy(kTproxy);
  f.routes[1].rp_filter = 1;
  CHECK(worst(f, "reverse-path") == Health::ok);
  f.default_routes = 2;
  CHECK(worst(f, "reverse-path") == Health::warning);
  CHECK(worst(f, "mtu") == Health::ok);
  f.routes[0].mtu = 1400;
  CHECK(worst(f, "mtu") == Health::warning);
  f.routes[0].mtu = 1000;
  CHECK(worst(f, "mtu") == Health::warning);
  CHECK(worst(healthy(kDirect), "reverse-path") == Health::skipped);
}

TEST_CASE("descriptors, clock, store, resolver") {
  DoctorFacts f = healthy(kDirect);
  f.descriptors = 500;
  CHECK(worst(f, "descriptors") == Health::failed);
  f.descriptors = 2000;
  CHECK(worst(f, "descriptors") == Health::warning);
  f.clock.synchronised = false;
  CHECK(worst(f, "clock") == Health::warning);
  f.store.mode = 0755;
  f.store.file_system = "tmpfs";
  CHECK(of(f, "store").size() == 2);
  CHECK(worst(f, "store") == Health::warning);
  f.store.writable = false;
  CHECK(worst(f, "store") == Health::failed);
  f.store = {"/var", false, true, "", 0, "ext4", 5 << 20, 1 << 30};
  CHECK(worst(f, "store") == Health::failed);
  for (const char* silent : {"timeout", "unreachable", "pending", "servfail", "refused", "error"}) {
    f.resolver->answer.status = silent;
    CHECK(worst(f, "resolver") == Health::warning);
  }
  f.resolver->servers = "192.0.2.53:53";
  f.resolver->answer = {"unreachable", "", "", false, 16'000'000, 0};
  CHECK(of(f, "resolver")[0].says ==
        "192.0.2.53:53 does not answer at all (asked for the name of 192.0.2.25, waited 16.0 s)");
  f.resolver->answer.name_us = 300;
  CHECK(of(f, "resolver")[0].says ==
        "192.0.2.53:53 cannot be reached (asked for the name of 192.0.2.25): nothing listens there, or a packet filter "
        "refuses it");
  f.resolver->answer = {"nxdomain", "", "", false, 2'000'000, 0};
  CHECK(worst(f, "resolver") == Health::warning);
  f.resolver->answer.name_us = 2000;
  CHECK(worst(f, "resolver") == Health::ok);
}

TEST_CASE("probes: not wanted, nobody to ask, no answer, no proxy") {
  DoctorFacts f = healthy(kTproxy);
  CHECK(worst(f, "gateway") == Health::skipped);
  CHECK(of(f, "view")[0].says.find("gateway.sees") != std::string::npos);
  f = healthy(kDirect);
  ProbeFact probe;
  probe.gateway = {"192.0.2.25", 25};
  probe.direct.error = "ETIMEDOUT";
  probe.why_not = "no smtpscope listens";
  f.probes = {probe};
  CHECK(worst(f, "gateway") == Health::failed);
  CHECK(worst(f, "through-proxy") == Health::skipped);
  CHECK(worst(f, "view") == Health::skipped);
  f.probed = false;
  CHECK(worst(f, "gateway") == Health::skipped);
  CHECK_FALSE(unfit(examine(f)));
}

TEST_CASE("the report: text that can be read, JSON of the documented shape") {
  DoctorFacts f = healthy(kDirect);
  f.ports[0].error = EADDRINUSE;
  f.ports[0].holder = "x\x1b[31m (pid 1)";
  const auto all = examine(f);
  const std::string text = doctor_text(all, f);
  CHECK(text.find("failed   addresses to listen on: ") != std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.ends_with("1 failed, 0 warnings\n"));
  const auto json = nlohmann::json::parse(doctor_json(all, f));
  CHECK(json["schema"] == "smtpscope.doctor/1");
  CHECK(json["fit"] == false);
  CHECK(json["accept"] == nlohmann::json{"direct"});
  for (const auto& check : json["checks"]) {
    CHECK(check.size() == 5);
    CHECK(check["says"].get<std::string>().size() > 3);
  }
}

TEST_CASE("without a configuration the report says that only the host was checked") {
  DoctorFacts f = healthy(kDirect);
  CHECK(doctor_text(examine(f), f).find("nothing but this host") == std::string::npos);
  f.settings = {};
  f.configured = false;
  f.ports.clear();
  const std::string text = doctor_text(examine(f), f);
  CHECK(text.find("0 failed, 0 warnings\nNOTE     nothing but this host was checked, ") != std::string::npos);
  CHECK(text.find("give --config FILE") != std::string::npos);
}

TEST_CASE("a port is held by who opened it, not by its children") {
  const auto parent = [](long pid) { return pid == 40 || pid == 41 ? 12L : pid == 12 ? 1L : 0L; };
  constexpr std::string_view kPostfix =
      "LISTEN 0 100 0.0.0.0:25 0.0.0.0:* "
      "users:((\"smtpd\",pid=41,fd=6),(\"smtpd\",pid=40,fd=6),(\"master\",pid=12,fd=13))\n";
  CHECK(port_holder(kPostfix, parent) == "master (pid 12)");
  CHECK(port_holder("LISTEN 0 9 *:25 *:* users:((\"x\",pid=7,fd=3))\n", parent) == "x (pid 7)");
  CHECK(port_holder("LISTEN 0 9 *:25 *:* users:((\"a\",pid=7,fd=3),(\"b\",pid=8,fd=3))\n", parent) == "a (pid 7)");
  CHECK(port_holder("LISTEN 0 9 *:25 *:*\n", parent).empty());
  CHECK(port_holder("users:((\"a", parent).empty());
}
