#include "proxy/divert/ruleset.h"

#include <nlohmann/json.hpp>
#include <set>

#include "proxy/divert/host_facts.h"

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

// Before connections are tracked (-200); behind a dstnat (-100), so that the gateway's own address is seen; with
// the filters (0); behind br_netfilter (0), which runs the other chains for bridged packets.
constexpr int kRaw = -300, kBehindNat = -90, kBeforeFilter = -10, kBehindBridgeNetfilter = 100;

json field(const char* protocol, const char* name) { return {{"payload", {{"protocol", protocol}, {"field", name}}}}; }
json meta(const char* key) { return {{"meta", {{"key", key}}}}; }
json match(const char* op, json left, json right) {
  return {{"match", {{"op", op}, {"left", std::move(left)}, {"right", std::move(right)}}}};
}
json is(json left, json right) { return match("==", std::move(left), std::move(right)); }
json is_not(json left, json right) { return match("!=", std::move(left), std::move(right)); }
json set_value(json key, json value) { return {{"mangle", {{"key", std::move(key)}, {"value", std::move(value)}}}}; }
json flags_of(json mask) { return {{"&", {field("tcp", "flags"), std::move(mask)}}}; }
json socket_is(const char* key) { return is({{"socket", {{"key", key}}}}, 1); }
json in_set(std::string name) { return name.insert(0, 1, '@'); }
const json kAccept = {{"accept", nullptr}}, kDrop = {{"drop", nullptr}};

/// One transaction of nft.
class Transaction {
 public:
  explicit Transaction(const char* family) : family_(family) {}

  void table() { add("table", {{"family", family_}, {"name", kDivertTable}}); }
  void no_table() {
    table();  // deleting what is not there would be a fault
    commands_.push_back({{"delete", {{"table", {{"family", family_}, {"name", kDivertTable}}}}}});
  }
  /// `ends`: elements may have an end of their own.
  void set(const std::string& name, const DivertFamily& family, bool ends) {
    json body = {{"family", family_},
                 {"table", kDivertTable},
                 {"name", name},
                 {"type", family.v6 ? "ipv6_addr" : "ipv4_addr"},
                 {"flags", json::array({"interval"})}};
    if (ends) body["flags"].push_back("timeout");
    add("set", std::move(body));
  }
  /// Nothing is to be put into the sets any more.
  void end() { mark("add"); }
  /// A fault, with which nothing of this transaction is done, behind end().
  void unless_ended() {
    mark("create");
    mark("delete");
  }
  /// `of(i)`: how long the i-th is kept, seconds; 0: for ever.
  template <class ForS>
  void elements(const std::string& set, const AddressRanges& ranges, ForS of) {
    json list = json::array();
    for (size_t i = 0; i < ranges.size(); ++i) {
      const auto& range = ranges[i];
      const uint64_t for_s = of(i);
      const std::string first = range.first.to_string(), last = range.last.to_string();
      json value = first == last ? json(first) : json{{"range", {first, last}}};
      list.push_back(for_s == 0 ? value : json{{"elem", {{"val", std::move(value)}, {"timeout", for_s}}}});
    }
    add("element", {{"family", family_}, {"table", kDivertTable}, {"name", set}, {"elem", std::move(list)}});
  }
  void empty(const std::string& set) {
    commands_.push_back({{"flush", {{"set", {{"family", family_}, {"table", kDivertTable}, {"name", set}}}}}});
  }
  void chain(const char* name, const char* hook, int priority) {
    chain_ = name;
    add("chain", {{"family", family_},
                  {"table", kDivertTable},
                  {"name", name},
                  {"type", "filter"},
                  {"hook", hook},
                  {"prio", priority},
                  {"policy", "accept"}});
  }
  /// To the chain that was added last.
  void rule(std::vector<json> parts) {
    add("rule", {{"family", family_}, {"table", kDivertTable}, {"chain", chain_}, {"expr", std::move(parts)}});
  }
  std::vector<json>& commands() { return commands_; }

 private:
  void mark(const char* command) {
    json body = {{"family", family_}, {"table", kDivertTable}, {"name", "ending"}, {"type", "mark"}};
    commands_.push_back({{command, {{"set", std::move(body)}}}});
  }
  void add(const char* kind, json body) { commands_.push_back({{"add", {{kind, std::move(body)}}}}); }

  const char* family_;
  const char* chain_ = "";
  std::vector<json> commands_;
};

/// One command a line, so that `print` can be read.
std::string text_of(const std::vector<json>& commands) {
  std::string text = "{\"nftables\": [\n";
  for (size_t i = 0; i < commands.size(); ++i) text += commands[i].dump() + (i + 1 < commands.size() ? ",\n" : "\n");
  return text + "]}\n";
}

class Tables {
 public:
  Tables(const DivertIntent& intent, const DivertState& state) : intent_(intent), state_(state) {}

  std::vector<json> inet() {
    t_.no_table();
    t_.table();
    for (const DivertFamily& family : intent_.families) {
      if (!family.on()) continue;
      t_.set(senders(family), family, true);
      t_.elements(senders(family), family.senders, [&](size_t i) { return family.kept_for_s(i, intent_.for_s); });
      if (family.destinations.empty()) continue;
      t_.set(gateway(family), family, false);
      t_.elements(gateway(family), family.destinations, [](size_t) { return uint64_t{0}; });
    }
    divert();
    if (state_.numbers.zone != 0) zones();
    for (const DivertFamily& family : intent_.families)
      if (family.on()) forward(family);
    return std::move(t_.commands());
  }

  static std::string senders(const DivertFamily& family) { return std::string("capture") + family.suffix(); }

 private:
  static std::string gateway(const DivertFamily& family) { return std::string("gateway") + family.suffix(); }
  json to_gateway_port() const { return is(field("tcp", "dport"), intent_.port); }
  json from_gateway_port() const { return is(field("tcp", "sport"), intent_.port); }
  json mark() const { return set_value(meta("mark"), {{"|", {meta("mark"), state_.numbers.mark}}}); }
  static json no_first_syn() { return is_not(flags_of({"syn", "ack"}), "syn"); }

  void divert() {
    t_.chain("divert", "prerouting", kBehindNat);
    // A listener on all addresses with the gateway's own port is found for every packet to that port; it is no session.
    t_.rule({to_gateway_port(), no_first_syn(), socket_is("wildcard"), kAccept});
    t_.rule({to_gateway_port(), no_first_syn(), socket_is("transparent"), mark(), kAccept});
    t_.rule({from_gateway_port(), no_first_syn(), socket_is("transparent"), mark(), kAccept});
    for (const DivertFamily& family : intent_.families) {
      if (!family.on()) continue;
      const char* ip = family.v6 ? "ip6" : "ip";
      std::vector<json> parts{
          intent_.bridge.empty() ? is_not(meta("iifname"), "lo") : is(meta("iifname"), intent_.bridge),
          is(field(ip, "saddr"), in_set(senders(family)))};
      if (!family.destinations.empty()) parts.push_back(is(field(ip, "daddr"), in_set(gateway(family))));
      parts.push_back(to_gateway_port());
      parts.push_back(is(flags_of({"fin", "syn", "rst", "ack"}), "syn"));
      parts.push_back(is_not({{"fib", {{"result", "type"}, {"flags", {"daddr"}}}}}, "local"));
      json listener = {{"family", ip}, {"port", family.listen_port}};
      if (!family.listen_ip.empty()) listener["addr"] = family.listen_ip;
      parts.push_back({{"tproxy", std::move(listener)}});
      parts.push_back(mark());
      parts.push_back(kAccept);
      t_.rule(std::move(parts));
    }
  }

  void zones() {
    const json zone = set_value({{"ct", {{"key", "zone"}}}}, state_.numbers.zone);
    t_.chain("zone_in", "prerouting", kRaw);
    t_.rule({from_gateway_port(), socket_is("transparent"), zone});
    t_.chain("zone_out", "output", kRaw);
    t_.rule({to_gateway_port(), socket_is("transparent"), zone});
  }

  /// Interfaces that forward only because of us.
  json opened(const DivertFamily& family) const {
    const std::string front = family.v6 ? "net/ipv6/conf/" : "net/ipv4/conf/";
    json names = json::array();
    for (const ChangedSetting& s : state_.settings) {
      if (!s.name.starts_with(front)) continue;
      const std::string name = s.name.substr(front.size(), s.name.rfind('/') - front.size());
      if (name == "all") return "all";
      names.push_back(name);
    }
    return names;
  }

  void forward(const DivertFamily& family) {
    const json names = opened(family);
    if (names.empty()) return;
    const char* ip = family.v6 ? "ip6" : "ip";
    t_.chain(family.v6 ? "forward6" : "forward4", "forward", kBeforeFilter);
    const auto rule = [&](std::vector<json> parts) {
      std::vector<json> all{is(meta("nfproto"), family.v6 ? "ipv6" : "ipv4")};
      if (names.is_array()) all.push_back(is(meta("iifname"), {{"set", names}}));
      for (json& part : parts) all.push_back(std::move(part));
      t_.rule(std::move(all));
    };
    const auto mail = [&](const char* address, json port) {
      std::vector<json> parts;
      if (!family.destinations.empty()) parts.push_back(is(field(ip, address), in_set(gateway(family))));
      parts.push_back(std::move(port));
      parts.push_back(kAccept);
      rule(std::move(parts));
    };
    mail("daddr", to_gateway_port());
    mail("saddr", from_gateway_port());
    rule({is(field(family.v6 ? "icmpv6" : "icmp", "type"),
             family.v6
                 ? json{{"set", {"destination-unreachable", "packet-too-big", "time-exceeded", "parameter-problem"}}}
                 : json{{"set", {"destination-unreachable", "time-exceeded", "parameter-problem"}}}),
          kAccept});
    rule({kDrop});
  }

  const DivertIntent& intent_;
  const DivertState& state_;
  Transaction t_{"inet"};
};

}  // namespace

std::string divert_ruleset(const DivertIntent& intent, const DivertState& state, const std::string& bridge_mac) {
  std::vector<json> all = Tables(intent, state).inet();
  if (!intent.bridge.empty()) {
    Transaction bridge("bridge");
    bridge.no_table();
    bridge.table();
    bridge.chain("take_out", "prerouting", kBehindBridgeNetfilter);
    bridge.rule({is({{"&", {meta("mark"), state.numbers.mark}}}, state.numbers.mark),
                 set_value(field("ether", "daddr"), bridge_mac), set_value(meta("pkttype"), "host")});
    for (json& command : bridge.commands()) all.push_back(std::move(command));
  }
  return text_of(all);
}

std::string remove_ruleset(bool bridged) {
  Transaction inet("inet"), bridge("bridge");
  inet.no_table();
  if (bridged) bridge.no_table();
  std::vector<json> all = std::move(inet.commands());
  for (json& command : bridge.commands()) all.push_back(std::move(command));
  return text_of(all);
}

std::string change_senders_ruleset(const DivertIntent& intent, const std::array<bool, 2>& sets) {
  Transaction t("inet");
  t.unless_ended();
  for (const DivertFamily& family : intent.families) {
    const std::string set = Tables::senders(family);
    if (!sets[family.v6 ? 1 : 0]) continue;
    t.empty(set);
    if (!family.senders.empty())
      t.elements(set, family.senders, [&](size_t i) { return family.kept_for_s(i, intent.for_s); });
  }
  return text_of(t.commands());
}

std::string empty_senders_ruleset(const std::array<bool, 2>& sets, bool for_good) {
  Transaction t("inet");
  if (for_good) t.end();
  for (size_t i = 0; i < 2; ++i)
    if (sets[i]) t.empty(i == 1 ? "capture6" : "capture4");
  return text_of(t.commands());
}

}  // namespace smtpscope
