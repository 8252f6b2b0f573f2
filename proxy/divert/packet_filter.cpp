#include "proxy/divert/packet_filter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string_view>

#include "proxy/divert/host_facts.h"

namespace smtpscope {
namespace {

using json = nlohmann::json;

enum class Answer : uint8_t { no, unclear, yes };
Answer answer(bool is) { return is ? Answer::yes : Answer::no; }
Answer negated(Answer a) { return a == Answer::unclear ? a : answer(a == Answer::no); }

/// One that has to pass: of a sender towards the gateway, the first of a session; or of the gateway, of one that
/// stands.
struct Packet {
  bool input = true;
  bool reply = false;
  uint32_t mark = 0;
  uint16_t port = 25;
  const char* state() const { return reply ? "established" : "new"; }
};

struct Rule {
  enum class Action : uint8_t { none, accept, drop, jump, go, back };
  Answer applies = Answer::yes;
  Action action = Action::none;
  std::string target{};
};
using Chains = std::map<std::string, std::vector<Rule>>;

/// A packet's way through one base chain and what it jumps to.
class Walk {
 public:
  explicit Walk(const Chains& chains) : chains_(chains) {}

  enum class End : uint8_t { accepted, dropped, through };
  End chain(const std::string& name, int depth = 0) {
    constexpr int kDeepest = 16;
    const auto it = chains_.find(name);
    if (it == chains_.end() || depth > kDeepest) return End::through;
    for (const Rule& rule : it->second) {
      using Action = Rule::Action;
      if (rule.applies == Answer::no || rule.action == Action::none) continue;
      const bool sure = rule.applies == Answer::yes;
      if (rule.action == Action::back && sure) return End::through;
      End end = rule.action == Action::accept ? End::accepted
                : rule.action == Action::drop ? End::dropped
                                              : End::through;
      if (rule.action == Action::jump || rule.action == Action::go) end = chain(rule.target, depth + 1);
      if (sure && (end != End::through || rule.action == Action::go)) return end;
      if (end == End::accepted) maybe_ = true;
    }
    return End::through;
  }
  /// Might it have been accepted on the way?
  bool maybe() const { return maybe_; }

 private:
  const Chains& chains_;
  bool maybe_ = false;
};

// nft

Answer contains(const json& right, uint64_t value, const char* name) {
  if (right.is_number_unsigned()) return answer(right.get<uint64_t>() == value);
  if (right.is_string()) {
    const auto& text = right.get_ref<const std::string&>();
    return text.starts_with('@') ? Answer::unclear : answer(text == name);
  }
  if (right.is_object() && right.contains("range"))
    return answer(right["range"].at(0).get<uint64_t>() <= value && value <= right["range"].at(1).get<uint64_t>());
  const json& list = right.is_object() && right.contains("set") ? right["set"] : right;
  if (!list.is_array()) return list.is_string() || list.is_number() ? contains(list, value, name) : Answer::unclear;
  Answer any = Answer::no;
  for (const json& each : list) any = std::max(any, contains(each, value, name));
  return any;
}

/// Of the port on the sender's side, which is some high one.
constexpr uint64_t kFirstHighPort = 1024;
Answer may_be_high(const json& right) {
  if (right.is_number_unsigned()) return right.get<uint64_t>() < kFirstHighPort ? Answer::no : Answer::unclear;
  if (!right.is_structured()) return Answer::unclear;
  Answer any = Answer::no;
  for (const json& each : right) any = std::max(any, may_be_high(each));
  return any;
}

Answer left_is(const json& left, const json& right, const Packet& packet) {
  constexpr uint64_t kTcp = 6, kNone = ~uint64_t{0};
  if (left.contains("&") && left["&"].is_array() && left["&"][0].contains("meta") &&
      left["&"][0]["meta"].value("key", "") == "mark" && left["&"][1].is_number_unsigned())
    return packet.input ? contains(right, left["&"][1].get<uint64_t>() & packet.mark, "") : Answer::unclear;
  if (left.contains("meta")) {
    const std::string key = left["meta"].value("key", "");
    if (key == "mark") return packet.input ? contains(right, packet.mark, "") : Answer::unclear;
    if (key == "l4proto") return contains(right, kTcp, "tcp");
    // They come from one network and go to another.
    if (key == "iifname" || key == "oifname" || key == "iif" || key == "oif")
      return right == "lo" ? Answer::no : Answer::unclear;
  }
  if (left.contains("ct") && left["ct"].value("key", "") == "state") return contains(right, kNone, packet.state());
  if (!left.contains("payload")) return Answer::unclear;
  const std::string protocol = left["payload"].value("protocol", ""), field = left["payload"].value("field", "");
  if (protocol == "udp" || protocol == "icmp" || protocol == "icmpv6" || protocol == "sctp") return Answer::no;
  if (field == "protocol" || field == "nexthdr") return contains(right, kTcp, "tcp");
  if ((protocol == "tcp" || protocol == "th") && field == (packet.reply ? "sport" : "dport"))
    return contains(right, packet.port, packet.port == 25 ? "smtp" : "");
  if (protocol == "tcp" && (field == "sport" || field == "dport")) return may_be_high(right);
  return Answer::unclear;
}

void put_verdict(const std::string& kind, const json& body, Rule& rule) {
  using Action = Rule::Action;
  rule.action = kind == "accept"                     ? Action::accept
                : kind == "drop" || kind == "reject" ? Action::drop
                : kind == "return"                   ? Action::back
                : kind == "jump"                     ? Action::jump
                                                     : Action::go;
  if (body.is_object()) rule.target = body.value("target", "");
}

/// What a map of verdicts has for this packet.
void put_map(const json& vmap, const Packet& packet, Rule& rule) {
  const json& data = vmap.at("data");
  if (data.is_object() && data.contains("set"))
    for (const json& pair : data["set"]) {
      const Answer is = left_is(vmap.at("key"), pair.at(0), packet);
      if (is == Answer::no || (is == Answer::unclear && rule.action == Rule::Action::accept)) continue;
      put_verdict(pair.at(1).begin().key(), pair.at(1).begin().value(), rule);
      rule.applies = std::min(rule.applies, is);
      if (is == Answer::yes) return;
    }
  else
    rule.action = Rule::Action::accept, rule.applies = std::min(rule.applies, Answer::unclear);
}

Rule nft_rule(const json& expression, const Packet& packet) {
  Rule rule;
  for (const json& part : expression) {
    if (!part.is_object() || part.empty()) continue;
    const std::string& kind = part.begin().key();
    const json& body = part.begin().value();
    if (kind == "match") {
      const Answer is = left_is(body.at("left"), body.at("right"), packet);
      rule.applies = std::min(rule.applies, body.value("op", "") == "!=" ? negated(is) : is);
    } else if (kind == "accept" || kind == "drop" || kind == "reject" || kind == "return" || kind == "jump" ||
               kind == "goto") {
      put_verdict(kind, body, rule);
    } else if (kind == "vmap") {
      put_map(body, packet, rule);
    } else if (kind != "counter" && kind != "log" && kind != "mangle" && kind != "comment") {
      rule.applies = std::min(rule.applies, Answer::unclear);
    }
  }
  return rule;
}

struct Base {
  std::string family, table, name;
  bool input, drops;
  std::string full() const { return fmt::format("{} {} {}", family, table, name); }
};

// iptables

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream in(line);
  for (std::string word; in >> word;) {
    if (word.starts_with('"'))
      for (std::string more; !word.ends_with('"') && in >> more;) word.append(" ").append(more);
    words.push_back(word);
  }
  return words;
}

uint32_t hex(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

/// In "25", "20:30", "25,587".
bool has_port(const std::string& list, uint16_t port) {
  std::istringstream in(list);
  for (std::string each; std::getline(in, each, ',');) {
    const size_t colon = each.find(':');
    const auto number = [](const std::string& text) { return std::strtoul(text.c_str(), nullptr, 10); };
    if (number(each) <= port && port <= (colon == std::string::npos ? number(each) : number(each.substr(colon + 1))))
      return true;
  }
  return false;
}

Answer option_is(const std::string& option, const std::string& value, const Packet& packet) {
  if (option == "-m" || option == "--comment") return Answer::yes;
  if (option == "-p") return answer(value == "tcp" || value == "6");
  if (option == (packet.reply ? "--sport" : "--dport") || option == (packet.reply ? "--sports" : "--dports"))
    return answer(has_port(value, packet.port));
  if (option == "--dport" || option == "--dports" || option == "--sport" || option == "--sports")
    return value.size() > 3 ? Answer::unclear : Answer::no;
  if (option == "--ctstate" || option == "--state") {
    std::string state = packet.state();
    std::transform(state.begin(), state.end(), state.begin(), [](char c) { return static_cast<char>(c - 'a' + 'A'); });
    return answer(value.find(state) != std::string::npos);
  }
  if (option == "--mark" && packet.input) {
    const size_t slash = value.find('/');
    const uint32_t mask = slash == std::string::npos ? ~uint32_t{0} : hex(std::string_view(value).substr(slash + 1));
    return answer((packet.mark & mask) == hex(std::string_view(value).substr(0, slash)));
  }
  if ((option == "-i" || option == "-o") && value == "lo") return Answer::no;
  return Answer::unclear;
}

/// "-A CHAIN ...", from the third word on.
Rule iptables_rule(const std::vector<std::string>& words, const Packet& packet) {
  Rule rule;
  bool negate = false;
  for (size_t i = 2; i < words.size(); ++i) {
    const std::string& option = words[i];
    if (option == "!") {
      negate = true;
      continue;
    }
    if (!option.starts_with('-')) continue;
    const std::string value = i + 1 < words.size() ? words[i + 1] : "";
    if (option == "-j" || option == "-g") {
      using Action = Rule::Action;
      rule.target = value;
      rule.action = value == "ACCEPT"                      ? Action::accept
                    : value == "DROP" || value == "REJECT" ? Action::drop
                    : value == "RETURN"                    ? Action::back
                    : option == "-g"                       ? Action::go
                                                           : Action::jump;
      return rule;  // what follows is of the target
    }
    const Answer is = option_is(option, value, packet);
    rule.applies = std::min(rule.applies, negate ? negated(is) : is);
    negate = false;
  }
  return rule;
}

/// The lines of *filter, of one family.
std::vector<std::string> filter_lines(const std::string& saved, bool v6) {
  std::vector<std::string> lines;
  std::istringstream in(saved);
  bool family = false, table = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("# Generated by")) family = (line.find("ip6tables") != std::string::npos) == v6;
    if (line.starts_with('*')) table = line == "*filter";
    if (family && table) lines.push_back(line);
  }
  return lines;
}

class Judge {
 public:
  Judge(const FilterListing& listing, uint32_t mark, uint16_t port, const std::array<bool, 2>& families)
      : listing_(listing), mark_(mark), port_(port), families_(families) {}

  std::vector<FilterObstacle> all() {
    for (size_t family = 0; family < 2; ++family)
      if (families_[family]) iptables(family == 1);
    nft();
    return std::move(obstacles_);
  }

 private:
  /// `chains_for(packet)`: all chains, as they are for this packet.
  template <class ChainsFor>
  void judge(const std::string& name, bool input, bool drops, ChainsFor chains_for, FilterObstacle obstacle) {
    bool blocked = false, certain = false;
    for (const bool reply : {false, true}) {
      const Chains chains = chains_for(Packet{input, reply, mark_, port_});
      Walk walk(chains);
      const Walk::End end = walk.chain(name);
      if (end == Walk::End::accepted || (end == Walk::End::through && !drops)) continue;
      blocked = true;
      certain = certain || !walk.maybe();
    }
    obstacle.certain = certain;
    if (blocked) obstacles_.push_back(std::move(obstacle));
  }

  void nft() {
    const json ruleset = json::parse(listing_.ruleset, nullptr, false);
    if (!ruleset.is_object() || !ruleset.contains("nftables")) return;
    std::vector<Base> bases;
    for (const json& item : ruleset["nftables"]) {
      if (!item.is_object() || !item.contains("chain")) continue;
      const json& body = item["chain"];
      const std::string hook = body.value("hook", ""), family = body.value("family", "");
      if (body.value("type", "") != "filter" || (hook != "input" && hook != "output")) continue;
      if (family != "inet" && family != "ip" && family != "ip6") continue;
      if ((family == "ip" && !families_[0]) || (family == "ip6" && !families_[1])) continue;
      Base base{family, body.value("table", ""), body.value("name", ""), hook == "input",
                body.value("policy", "") == "drop"};
      if ((base.table == kDivertTable && family == "inet") || of_iptables(base)) continue;
      bases.push_back(std::move(base));
    }
    for (const Base& base : bases) {
      const auto chains_for = [&](const Packet& packet) {
        Chains chains;
        for (const json& item : ruleset["nftables"]) {
          if (!item.is_object() || !item.contains("rule")) continue;
          const json& body = item["rule"];
          if (body.value("family", "") == base.family && body.value("table", "") == base.table)
            chains[body.value("chain", "")].push_back(nft_rule(body.value("expr", json::array()), packet));
        }
        return chains;
      };
      judge(base.name, base.input, base.drops, chains_for, advice(base));
    }
  }

  bool of_iptables(const Base& base) const {
    return base.table == "filter" && (base.name == "INPUT" || base.name == "OUTPUT") && base.family != "inet" &&
           !filter_lines(listing_.iptables, base.family == "ip6").empty();
  }

  FilterObstacle advice(const Base& base) const {
    const std::string at = base.full();
    FilterObstacle o{at, true, {}, {}};
    const auto insert = [&](const std::string& what) {
      o.insert.push_back(fmt::format("nft insert rule {} {} accept comment smtpscope", at, what));
    };
    if (base.input) {
      insert(fmt::format("meta mark and {0:#x} == {0:#x}", mark_));
    } else {
      insert(fmt::format("tcp dport {}", port_));
      insert(fmt::format("tcp sport {}", port_));
    }
    o.remove.push_back(fmt::format(
        "for h in $(nft -a list chain {0} | sed -n 's/.*\"smtpscope\" # handle //p'); do nft delete rule {0} "
        "handle $h; done",
        at));
    return o;
  }

  void iptables(bool v6) {
    const std::vector<std::string> lines = filter_lines(listing_.iptables, v6);
    const std::string program = v6 ? "ip6tables" : "iptables";
    const auto chains_for = [&](const Packet& packet) {
      Chains chains;
      for (const std::string& line : lines)
        if (const auto words = words_of(line); words.size() > 2 && words[0] == "-A")
          chains[words[1]].push_back(iptables_rule(words, packet));
      return chains;
    };
    for (const std::string name : {"INPUT", "OUTPUT"}) {
      FilterObstacle o{fmt::format("{} {}", program, name), true, {}, {}};
      const auto insert = [&](const std::string& what) {
        o.insert.push_back(fmt::format("{} -I {} {} -j ACCEPT", program, name, what));
        o.remove.push_back(fmt::format("{} -D {} {} -j ACCEPT", program, name, what));
      };
      const bool input = name == "INPUT";
      if (input) {
        insert(fmt::format("-m mark --mark {0:#x}/{0:#x}", mark_));
      } else {
        insert(fmt::format("-p tcp --dport {}", port_));
        insert(fmt::format("-p tcp --sport {}", port_));
      }
      const bool drops = std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
        return line.starts_with(fmt::format(":{} DROP", name));
      });
      judge(name, input, drops, chains_for, std::move(o));
    }
  }

  const FilterListing& listing_;
  const uint32_t mark_;
  const uint16_t port_;
  const std::array<bool, 2> families_;
  std::vector<FilterObstacle> obstacles_;
};

}  // namespace

std::vector<FilterObstacle> filter_obstacles(const FilterListing& listing, uint32_t mark, uint16_t port,
                                             const std::array<bool, 2>& families) {
  return Judge(listing, mark, port, families).all();
}

std::string obstacle_text(const FilterObstacle& o) {
  return fmt::format(
      "{} To let them pass: {} (and after `divert off`, to take that out again: {})",
      o.certain
          ? fmt::format("the packet filter's chain \"{}\" drops diverted sessions, which end on this host.", o.chain)
          : fmt::format("the rules of the packet filter's chain \"{}\" do not tell whether diverted sessions pass, "
                        "which end on this host: send a test mail.",
                        o.chain),
      fmt::join(o.insert, "; "), fmt::join(o.remove, "; "));
}

bool only_accepts_a_mark(const std::string& nft_expression) {
  const json expression = json::parse(nft_expression, nullptr, false);
  bool mark = false, accepts = false;
  if (!expression.is_array()) return false;
  for (const json& part : expression) {
    if (part.contains("match")) {
      const json &match = part["match"], left = match.value("left", json()), right = match.value("right", json());
      const bool masked = left.is_object() && left.contains("&") && left["&"].size() == 2;
      if (mark || !masked || left["&"][0] != json{{"meta", {{"key", "mark"}}}} || match.value("op", "") != "==" ||
          !right.is_number_unsigned() || left["&"][1] != right || std::popcount(right.get<uint64_t>()) != 1)
        return false;
      mark = true;
    } else if (part.contains("accept")) {
      accepts = true;
    } else if (!part.contains("counter")) {
      return false;
    }
  }
  return mark && accepts;
}

bool only_accepts_a_mark_of_iptables(const std::string& line) {
  const auto words = words_of(line);
  if (words.size() != 8 || words[0] != "-A" || words[2] != "-m" || words[3] != "mark" || words[4] != "--mark" ||
      words[6] != "-j" || words[7] != "ACCEPT")
    return false;
  const size_t slash = words[5].find('/');
  return slash != std::string::npos && std::popcount(hex(words[5])) == 1 &&
         std::string_view(words[5]).substr(0, slash) == std::string_view(words[5]).substr(slash + 1);
}

}  // namespace smtpscope
