// What others have set up on a host, numbers that clash with nothing of it, the commands, and their undoing.
#include "proxy/divert/plan.h"

#include <nlohmann/json.hpp>

#include "config/loader.h"
#include "proxy/divert/kernel_settings.h"
#include "proxy/divert/nft_text.h"
#include "proxy/divert/ruleset.h"
#include "proxy/divert/sender_follower.h"
#include "tests/catch.h"

using namespace smtpscope;
using json = nlohmann::json;

namespace {

const char* const kRules4 = R"([{"priority":0,"src":"all","table":"255"},
  {"priority":1000,"src":"all","fwmark":"0x10","fwmask":"0xff","table":"200"},
  {"priority":1001,"src":"all","fwmark":"0x8000000","table":"25026"},{"priority":32766,"src":"all","table":"254"}])";
const char* const kRoutes4 = R"([{"type":"2","dst":"default","dev":"lo","table":"25025","flags":[]},
  {"dst":"default","gateway":"10.0.0.254","dev":"eth0","table":"254","flags":[]}])";
const char* const kRuleset = R"({"nftables": [{"metainfo": {"version": "1.0.6"}},
  {"table": {"family": "inet", "name": "fw", "handle": 1}},
  {"chain": {"family": "inet", "table": "fw", "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
  {"rule": {"family": "inet", "table": "fw", "chain": "in", "expr": [
    {"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": {"key": "mark"}}, 16777216]}}}]}},
  {"rule": {"family": "inet", "table": "fw", "chain": "in", "expr": [
    {"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"&": [{"meta": {"key": "mark"}}, 4261412863]}}}]}},
  {"rule": {"family": "inet", "table": "fw", "chain": "in", "expr": [
    {"mangle": {"key": {"ct": {"key": "zone"}}, "value": 25025}}]}}]})";

HostListing listing() {
  return {{kRules4, R"([{"priority":0,"src":"all","table":"255"}])"},
          {kRoutes4, ""},
          kRuleset,
          "-A PREROUTING -j MARK --set-xmark 0x4000000/0xffffffff\n",
          0};
}

HostFacts facts_of(const HostListing& listing) {
  auto facts = read_host_facts(listing);
  INFO((facts ? "" : facts.error()));
  REQUIRE(facts);
  return *facts;
}

DivertIntent intent(const std::string& more = "") {
  const auto settings = load_settings_text(R"({"listeners": [{"address": "0.0.0.0:25", "accept": "tproxy"},
    {"address": "[::]:25", "accept": "tproxy"}], "gateway": {"address": "10.0.0.1:25"},
    "capture": {"senders": ["10.2.3", "2001:db8::9"], "for": "30m"})" +
                                               more + "}",
                                           "f");
  REQUIRE(settings);
  DivertPlanning planned = plan_divert(*settings);
  REQUIRE(planned.faults.empty());
  return planned.intent;
}

DivertState state() {
  DivertState s;
  s.numbers = {0x2000000, 25027, 999, 25026};
  s.families = {true, true};
  return s;
}

std::vector<std::string> lines(const std::vector<Command>& commands) {
  std::vector<std::string> out;
  for (const Command& c : commands) out.push_back(Command{c.words, ""}.shell());
  return out;
}

}  // namespace

TEST_CASE("numbers that others use are found, and others are chosen") {
  const HostFacts facts = facts_of(listing());
  // 0x1000000 set by nft, 0x2000000 cleared by its complement, 0x4000000 by iptables, 0x8000000 looked at by a rule
  CHECK(facts.mark_bits == (0x1000000 | 0x2000000 | 0x4000000 | 0x8000000 | 0xFF));
  CHECK(facts.tracks);
  CHECK(filter_obstacles(facts.filters, 0x10000000, 25, {true, true}).size() == 1);
  CHECK_FALSE(facts.has_inet_table);
  const auto numbers = free_numbers(facts);
  REQUIRE(numbers);
  CHECK(*numbers == DivertNumbers{0x10000000, 25027, 999, 25026});
}

TEST_CASE("a bit that others only accept, as we advise, is free") {
  const std::string rule = R"({"nftables": [{"rule": {"family": "inet", "table": "fw", "chain": "in", "expr": [
      {"match": {"op": "==", "left": {"&": [{"meta": {"key": "mark"}}, 16777216]}, "right": 16777216}}, {"accept": null}]}}]})";
  const std::string saved = "-A INPUT -m mark --mark 0x1000000/0x1000000 -j ACCEPT\n";
  CHECK(free_numbers(facts_of({{"", ""}, {"", ""}, rule, saved, 0}))->mark == 0x1000000);
}

TEST_CASE("an empty host gets the usual numbers, without a conntrack zone") {
  const auto numbers = free_numbers(facts_of({{"", ""}, {"", ""}, R"({"nftables": []})", "", 0}));
  REQUIRE(numbers);
  CHECK(*numbers == DivertNumbers{0x1000000, 25025, 25025, 0});
}

TEST_CASE("where nothing is free it is said") {
  HostFacts facts;
  facts.mark_bits = ~uint32_t{0};
  CHECK(free_numbers(facts).error().find("packet marks") != std::string::npos);
  facts.mark_bits = 0;
  facts.rules[1].push_back({1, 0, 0, 200});
  CHECK(free_numbers(facts).error().find("priority 1") != std::string::npos);
}

TEST_CASE("a listing that makes no sense is an error, not an empty host") {
  HostListing broken = listing();
  broken.ruleset = "nonsense";
  CHECK(read_host_facts(broken).error().starts_with("what `nft list ruleset` printed"));
  broken = listing();
  broken.rules[1] = "[{";
  CHECK(read_host_facts(broken).error().starts_with("what `ip rule` printed"));
}

TEST_CASE("on sets what is missing, and off takes away what is there, in the other order") {
  DivertState s = state();
  s.settings = {{"net/ipv4/conf/eth0.5/forwarding", "0", "1"}, {"bridge/br0/nf_call_iptables", "0", "1"}};
  HostNow now{facts_of(listing()), {"0", "0"}};
  CHECK(lines(divert_commands(intent(), s, now, "")) ==
        std::vector<std::string>{"sysctl -q -w net/ipv4/conf/eth0.5/forwarding=1",
                                 "ip link set dev br0 type bridge nf_call_iptables 1",
                                 "ip -4 route add local default dev lo table 25027",
                                 "ip -4 rule add priority 999 fwmark 0x2000000/0x2000000 lookup 25027",
                                 "ip -6 route add local default dev lo table 25027",
                                 "ip -6 rule add priority 999 fwmark 0x2000000/0x2000000 lookup 25027", "nft -j -f -"});
  CHECK(undo_commands(s, now).empty());
  now = when_diverted(s, now);
  CHECK(lines(divert_commands(intent(), s, now, "")) == std::vector<std::string>{"nft -j -f -"});
  CHECK(lines(undo_commands(s, now)) ==
        std::vector<std::string>{"nft -j -f -", "ip -4 rule del priority 999 fwmark 0x2000000/0x2000000 lookup 25027",
                                 "ip -4 route del local default dev lo table 25027",
                                 "ip -6 rule del priority 999 fwmark 0x2000000/0x2000000 lookup 25027",
                                 "ip -6 route del local default dev lo table 25027",
                                 "sysctl -q -w net/ipv4/conf/eth0.5/forwarding=0",
                                 "ip link set dev br0 type bridge nf_call_iptables 0"});
  now.settings = {"2", ""};  // changed by somebody else; gone with its bridge
  CHECK(lines(undo_commands(s, now)).size() == 5);
}

TEST_CASE("switching IPv6 forwarding off carries along what was on, and that is set again") {
  DivertState s = state();
  s.settings = {{kForwardAllV6, "0", "1"},
                {"net/ipv6/conf/default/forwarding", "0", "1"},
                {"net/ipv6/conf/eth1/forwarding", "1", "1"}};
  const std::vector<std::string> whole{"sysctl -q -w net/ipv6/conf/all/forwarding=0",
                                       "sysctl -q -w net/ipv6/conf/default/forwarding=0",
                                       "sysctl -q -w net/ipv6/conf/eth1/forwarding=1"};
  HostNow now{facts_of(listing()), {"1", "1", "1"}};
  CHECK(lines(undo_commands(s, now)) == whole);
  now.settings = {"0", "0", "0"};  // killed behind the first of them
  CHECK(lines(undo_commands(s, now)) == std::vector<std::string>{whole[2]});
}

TEST_CASE("which settings have to be changed") {
  const HostFacts facts = facts_of(listing());
  const KernelSettings router{{"net/ipv4/conf/all/forwarding", "1"},
                              {"net/ipv4/conf/eth0/forwarding", "1"},
                              {kForwardAllV6, "1"},
                              {"net/ipv4/conf/all/src_valid_mark", "0"}};
  CHECK(needed_settings(intent(), router, facts)->empty());
  KernelSettings host{{"net/ipv4/conf/all/forwarding", "0"},     {"net/ipv4/conf/eth0/forwarding", "0"},
                      {"net/ipv4/conf/lo/forwarding", "0"},      {kForwardAllV6, "0"},
                      {"net/ipv6/conf/default/forwarding", "0"}, {"net/ipv6/conf/eth0/forwarding", "0"}};
  const std::vector<ChangedSetting> old_kernel{{"net/ipv4/conf/eth0/forwarding", "0", "1"},
                                               {kForwardAllV6, "0", "1"},
                                               {"net/ipv6/conf/default/forwarding", "0", "1"},
                                               {"net/ipv6/conf/eth0/forwarding", "0", "1"}};
  CHECK(*needed_settings(intent(), host, facts) == old_kernel);
  HostFacts announced = facts;
  announced.default_route_announced = true;
  CHECK(needed_settings(intent(), host, announced).error().find("router advertisements") != std::string::npos);
  host["net/ipv6/conf/all/force_forwarding"] = "0";
  host["net/ipv6/conf/eth0/force_forwarding"] = "0";
  CHECK(needed_settings(intent(), host, announced)->back() ==
        ChangedSetting{"net/ipv6/conf/eth0/force_forwarding", "0", "1"});
  host["net/ipv4/conf/all/src_valid_mark"] = "1";
  CHECK(needed_settings(intent(), host, facts).error().starts_with("net.ipv4.conf.all.src_valid_mark is 1"));
  CHECK(needed_settings(intent(R"(, "divert": {"bridge": "br0"})"), router, facts).error() ==
        "br0 is no bridge of this host");
}

TEST_CASE("IPv6 that is switched off is told before anything is done, and only where it is wanted") {
  const HostFacts facts = facts_of(listing());
  const auto refusal = [&](const KernelSettings& now) { return needed_settings(intent(), now, facts).error(); };
  CHECK(needed_settings(intent(), {{kForwardAllV6, "1"}, {"net/ipv6/conf/lo/disable_ipv6", "0"}}, facts));
  CHECK(refusal({{kForwardAllV6, "1"}, {"net/ipv6/conf/lo/disable_ipv6", "1"}}).find("the \"[::]\" listener") !=
        std::string::npos);
  CHECK(refusal({}).starts_with("IPv6 is switched off"));  // ipv6.disable=1
  DivertIntent v4 = intent();
  v4.families[1].listen_port = 0;
  CHECK(needed_settings(v4, {}, facts));
}

TEST_CASE("the mark is set behind tproxy, so that nobody's absence marks nothing; a SYN alone is diverted") {
  const json ruleset = json::parse(divert_ruleset(intent(), state(), ""));
  size_t diverting = 0;
  for (const json& command : ruleset["nftables"]) {
    if (!command.contains("add") || !command["add"].contains("rule")) continue;
    const json& parts = command["add"]["rule"]["expr"];
    size_t tproxy = parts.size(), mark = parts.size(), syn = parts.size();
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].contains("tproxy")) tproxy = i;
      if (parts[i].contains("mangle") && parts[i].dump().find("mark") != std::string::npos) mark = i;
      if (parts[i].dump().find("\"right\":\"syn\"") != std::string::npos &&
          parts[i].dump().find("==") != std::string::npos)
        syn = i;
    }
    if (tproxy == parts.size()) continue;
    ++diverting;
    CHECK(mark == tproxy + 1);
    CHECK(syn < tproxy);
  }
  CHECK(diverting == 2);
  for (const json& command : ruleset["nftables"])
    if (command.contains("add") && command["add"].contains("element") &&
        command["add"]["element"]["name"] == "capture4")
      CHECK(command["add"]["element"]["elem"][0]["elem"]["timeout"] == 1800);
}

TEST_CASE("elements of the sets are understood as nft writes them") {
  HostListing with = listing();
  with.ruleset = R"({"nftables":[{"table":{"family":"inet","name":"smtpscope"}},
    {"set":{"family":"inet","table":"smtpscope","name":"capture4","type":"ipv4_addr","elem":["10.2.3.4",
      {"prefix":{"addr":"10.2.4.0","len":24}},
      {"elem":{"val":{"range":["10.2.5.1","10.2.5.9"]},"timeout":1800,"expires":1700}}]}},
    {"set":{"family":"inet","table":"smtpscope","name":"capture6","type":"ipv6_addr","elem":[
      {"elem":{"val":"2001:db8::9","timeout":1800,"expires":0}}]}}]})";
  const HostFacts facts = facts_of(with);
  REQUIRE(facts.senders[0].size() == 3);
  REQUIRE(facts.senders[1].size() == 1);
  CHECK(facts.senders_in_force == 4);
  CHECK(ranges_text({facts.senders[0][0].range, facts.senders[0][1].range, facts.senders[0][2].range}) ==
        "10.2.3.4, 10.2.4.0-10.2.4.255, 10.2.5.1-10.2.5.9");
  CHECK(facts.senders[0][1].left_s == 0);
  CHECK(facts.senders[0][2].left_s == 1700);
  CHECK(facts.senders[1][0].left_s == 1);  // not for ever
}

TEST_CASE("the sets are changed where they hold others than they should, and only where somebody is diverted") {
  const auto range = [](const char* first, const char* last) {
    return SenderFilter::Range{*IpAddress::parse(first), *IpAddress::parse(last)};
  };
  HostFacts facts;
  CHECK_FALSE(changed_senders({intent(), true}, facts, false));  // `off`, or its time is over
  CHECK(changed_senders({intent(), true}, facts, true));
  facts.senders[0] = {{range("10.2.3.0", "10.2.3.127"), 60}, {range("10.2.3.128", "10.2.3.255"), 90}};
  facts.senders[1] = {{range("2001:db8::9", "2001:db8::9"), 60}};
  facts.senders_in_force = 3;
  CHECK_FALSE(changed_senders({intent(), true}, facts, false));  // the same addresses, however they are cut
  facts.senders[0].push_back({range("10.9.9.9", "10.9.9.9"), 70});
  const auto fewer = changed_senders({intent(), true}, facts, false);
  REQUIRE(fewer);
  CHECK(ranges_text(fewer->families[0].senders) == "10.2.3.0-10.2.3.255");
  CHECK_FALSE(changed_senders({intent(), false}, facts, false));  // whom a name means is not known now
  facts.senders[0].erase(facts.senders[0].begin());
  const auto more = changed_senders({intent(), false}, facts, false);
  REQUIRE(more);
  CHECK(ranges_text(more->families[0].senders) == "10.2.3.0-10.2.3.255, 10.9.9.9");
  CHECK(more->families[0].senders_for_s == std::vector<uint64_t>{1800, 70});
  const json ruleset = json::parse(change_senders_ruleset(*more, {true, false}));
  const std::string text = ruleset.dump();
  CHECK(ruleset["nftables"][0].contains("create"));  // fails, and all with it, behind `off`
  CHECK(text.find("capture4") != std::string::npos);
  CHECK(text.find("capture6") == std::string::npos);
}

TEST_CASE("a ruleset is shown as a person writes it") {
  DivertIntent one = intent(R"(, "divert": {"destinations": ["10.0.0.1"]})");
  one.families[0].listen_ip = "127.0.0.1";
  DivertState s = state();
  s.numbers.zone = 0;
  CHECK(nft_text(divert_ruleset(one, s, "")) == R"(table inet smtpscope
delete table inet smtpscope
table inet smtpscope {
  set capture4 {
    type ipv4_addr; flags interval, timeout;
    elements = { 10.2.3.0-10.2.3.255 timeout 1800s }
  }
  set gateway4 {
    type ipv4_addr; flags interval;
    elements = { 10.0.0.1 }
  }
  chain divert {
    type filter hook prerouting priority -90; policy accept;
    tcp dport 25 tcp flags & (syn | ack) != syn socket wildcard 1 accept
    tcp dport 25 tcp flags & (syn | ack) != syn socket transparent 1 meta mark set meta mark | 0x2000000 accept
    tcp sport 25 tcp flags & (syn | ack) != syn socket transparent 1 meta mark set meta mark | 0x2000000 accept
    meta iifname != "lo" ip saddr @capture4 ip daddr @gateway4 tcp dport 25 tcp flags & (fin | syn | rst | ack) == syn fib daddr type != local tproxy ip to 127.0.0.1:25 meta mark set meta mark | 0x2000000 accept
  }
}
)");
  CHECK(readable(nft(remove_ruleset(true))).shell() ==
        "nft -f - <<'END'\ntable inet smtpscope\ndelete table inet smtpscope\ntable bridge smtpscope\ndelete table "
        "bridge smtpscope\nEND");
  const Command other{{"ip", "rule"}, {}};
  CHECK(readable(other) == other);
}

TEST_CASE("a record is read back as it was written, and nothing else is") {
  DivertState s = state();
  s.phase = DivertState::Phase::ending;
  s.ports = {10025, 0};
  s.bridged = true;
  s.settings = {{"net/ipv4/conf/eth0/forwarding", "0", "1"}};
  s.intent = "{\"port\":25}";
  s.listing = "[]";
  s.since_us = 1'795'000'000'000'000;
  const auto back = read_state_json(state_json(s));
  REQUIRE(back);
  CHECK(*back == s);
  CHECK_FALSE(read_state_json("{}"));
  CHECK_FALSE(read_state_json(state_json(s).substr(0, 100)));
}

TEST_CASE("commands are printed as a shell takes them") {
  CHECK(Command{{"echo", "it's", "", "a b"}, ""}.shell() == "echo 'it'\\''s' '' 'a b'");
  CHECK(Command{{"nft", "-f", "-"}, "x\n"}.shell() == "nft -f - <<'END'\nx\nEND");
  CHECK(run_command({{"cat"}, std::string(200'000, 'x')}).output.size() == 200'000);
  CHECK(run_command({{"sh", "-c", "echo no >&2; exit 3"}, ""}).output == "no\n");
  CHECK(run_command({{"sh", "-c", "kill -9 $$"}, ""}).status == -9);
  CHECK(run_command({{"no-such-program-here"}, ""}).status == 127);
}
