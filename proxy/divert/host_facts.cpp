#include "proxy/divert/host_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string_view>

#include "config/ip.h"
#include "config/sender_spec.h"

namespace smtpscope {
namespace {

using json = nlohmann::json;

constexpr int kManyBits = 16;  // a constant of more bits is taken for the complement of a mask
constexpr uint32_t kAllBits = 0xFFFF'FFFF;
constexpr uint32_t kMainPriority = 32766;
constexpr uint32_t kFirstTable = 25025, kWantedPriority = 25025;  // 25 for SMTP, easy to know again
constexpr uint16_t kFirstZone = 25025;

uint32_t number(const json& object, const char* key, uint32_t otherwise) {
  const auto it = object.find(key);
  if (it == object.end()) return otherwise;
  if (it->is_number_unsigned()) return it->get<uint32_t>();
  if (!it->is_string()) return otherwise;
  std::string_view text = it->get_ref<const std::string&>();
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  return error == std::errc() && end == text.data() + text.size() ? value : otherwise;
}

uint32_t bits_meant(uint32_t value) { return std::popcount(value) > kManyBits ? ~value : value; }

/// Every number in a piece of JSON, as bits of a mark.
uint32_t mark_bits_in(const json& j) {
  if (j.is_number_unsigned()) return bits_meant(static_cast<uint32_t>(j.get<uint64_t>() & kAllBits));
  uint32_t bits = 0;
  if (j.is_structured())
    for (const json& inner : j) bits |= mark_bits_in(inner);
  return bits;
}

bool names_key(const json& j, std::string_view of, std::string_view key) {
  if (!j.is_structured()) return false;
  if (j.is_object())
    if (const auto it = j.find(of); it != j.end() && it->is_object() && it->value("key", "") == key) return true;
  return std::any_of(j.begin(), j.end(), [&](const json& inner) { return names_key(inner, of, key); });
}

bool names(const json& j, std::string_view member) {
  if (!j.is_structured()) return false;
  if (j.is_object() && j.contains(member)) return true;
  return std::any_of(j.begin(), j.end(), [&](const json& inner) { return names(inner, member); });
}

/// "--set-xmark 0x1/0xff", "--mark 0x4000/0x4000" in what iptables-save prints.
uint32_t mark_bits_of_iptables(const std::string& saved) {
  uint32_t bits = 0;
  std::string text;
  std::istringstream lines(saved);
  for (std::string line; std::getline(lines, line);)
    if (!only_accepts_a_mark_of_iptables(line)) text += line + "\n";
  for (size_t at = text.find("mark 0x"); at != std::string::npos; at = text.find("mark 0x", at + 1)) {
    const char* const end = text.data() + text.size();
    uint32_t value = 0, mask = 0;
    const auto parsed = std::from_chars(text.data() + at + 7, end, value, 16);
    if (end - parsed.ptr > 3 && std::string_view(parsed.ptr, 3) == "/0x")
      std::from_chars(parsed.ptr + 3, end, mask, 16);
    bits |= bits_meant(value) | (mask == kAllBits ? 0 : bits_meant(mask));
  }
  return bits;
}

/// "192.0.2.1", a range or a prefix as nft writes them.
std::optional<SenderFilter::Range> range_of(const json& element) {
  std::string text = element.is_string() ? element.get<std::string>() : "";
  if (element.is_object() && element.contains("prefix"))
    text =
        fmt::format("{}/{}", element["prefix"].at("addr").get<std::string>(), element["prefix"].at("len").get<int>());
  if (element.is_object() && element.contains("range")) {
    const auto first = IpAddress::parse(element["range"].at(0).get<std::string>());
    const auto last = IpAddress::parse(element["range"].at(1).get<std::string>());
    if (first && last) return SenderFilter::Range{*first, *last};
  }
  const auto spec = parse_sender_spec(text);
  if (!spec || spec->kind != SenderSpec::Kind::addresses) return std::nullopt;
  return SenderFilter::Range{spec->first, spec->last};
}

class RulesetReader {
 public:
  explicit RulesetReader(HostFacts& facts) : facts_(facts) {}

  void read(const json& ruleset) {
    json ours = json::array();
    for (const json& item : ruleset.at("nftables")) {
      if (!item.is_object() || item.empty()) continue;
      const std::string& kind = item.begin().key();
      const json& body = item.begin().value();
      const std::string table = kind == "table" ? body.value("name", "") : body.value("table", "");
      const std::string family = body.value("family", "");
      if (table == kDivertTable && (family == "inet" || family == "bridge"))
        of_ours(kind, body, ours);
      else
        of_others(kind, body);
    }
    if (!ours.empty()) facts_.our_listing = ours.dump(-1, ' ', false, json::error_handler_t::replace);
  }

 private:
  void of_ours(const std::string& kind, json body, json& ours) {
    if (kind == "table") (body.value("family", "") == "inet" ? facts_.has_inet_table : facts_.has_bridge_table) = true;
    if (const std::string name = body.value("name", ""); kind == "set" && name.starts_with("capture")) {
      facts_.has_senders_set[name.ends_with('6') ? 1 : 0] = true;
      for (const json& element : body.value("elem", json::array())) {
        ++facts_.senders_in_force;
        const bool timed = element.is_object() && element.contains("elem");
        const json& inner = timed ? element["elem"] : element;
        const bool expires = inner.is_object() && inner.contains("expires");
        const uint64_t left_s = expires ? inner["expires"].get<uint64_t>() : 0;
        if (const auto range = range_of(timed ? inner.value("val", json()) : element))
          facts_.senders[name.ends_with('6') ? 1 : 0].push_back({*range, expires ? std::max<uint64_t>(left_s, 1) : 0});
        if (!expires) continue;
        ++expiring_;
        facts_.senders_expire_in_s = std::max(facts_.senders_expire_in_s, left_s);
      }
      facts_.senders_expire = expiring_ > 0 && expiring_ == facts_.senders_in_force;
      body.erase("elem");
    }
    body.erase("handle");
    ours.push_back({{kind, std::move(body)}});
  }

  void of_others(const std::string& kind, const json& body) {
    if (kind == "chain") {
      if (body.value("type", "") == "nat") facts_.tracks = true;
    } else if (kind == "rule") {
      const json expression = body.value("expr", json::array());
      if (only_accepts_a_mark(expression.dump(-1, ' ', false, json::error_handler_t::replace))) return;
      for (const json& part : expression) {
        if (names_key(part, "meta", "mark") || names_key(part, "ct", "mark")) facts_.mark_bits |= mark_bits_in(part);
        if (names(part, "ct")) facts_.tracks = true;
        if (names_key(part, "ct", "zone")) zones(part);
      }
    } else if ((kind == "set" || kind == "map") && body.dump().find("mark") != std::string::npos) {
      facts_.mark_bits |= mark_bits_in(body.value("elem", json::array()));
    }
  }

  void zones(const json& j) {
    if (j.is_number_unsigned()) facts_.zones.insert(static_cast<uint16_t>(j.get<uint64_t>()));
    if (j.is_structured())
      for (const json& inner : j) zones(inner);
  }

  HostFacts& facts_;
  uint64_t expiring_ = 0;  ///< of facts_.senders_in_force
};

void read_rules(const json& rules, size_t family, HostFacts& facts) {
  for (const json& rule : rules) {
    const uint32_t mark = number(rule, "fwmark", 0);
    const uint32_t mask = number(rule, "fwmask", mark == 0 ? 0 : kAllBits);
    facts.rules[family].push_back({number(rule, "priority", 0), mark, mask, number(rule, "table", 0)});
    facts.mark_bits |= bits_meant(mark) | (mask == kAllBits ? 0 : bits_meant(mask));
  }
}

void read_routes(const json& routes, size_t family, HostFacts& facts) {
  constexpr uint32_t kLocalRoute = 2;  // RTN_LOCAL
  for (const json& route : routes) {
    const uint32_t table = number(route, "table", kAllBits);
    if (table == kAllBits) continue;
    facts.route_tables[family].insert(table);
    constexpr uint32_t kAnnounced = 9;  // RTPROT_RA
    if (number(route, "protocol", 0) == kAnnounced && route.value("dst", "") == "default")
      facts.default_route_announced = true;
    const bool local = number(route, "type", 0) == kLocalRoute || route.value("type", "") == "local";
    if (local && route.value("dst", "") == "default") facts.all_local[family].insert(table);
  }
}

}  // namespace

bool HostFacts::has_rule(size_t family, const DivertNumbers& n) const {
  const PolicyRule ours{n.priority, n.mark, n.mark, n.table};
  return std::find(rules[family].begin(), rules[family].end(), ours) != rules[family].end();
}

Result<HostFacts> read_host_facts(const HostListing& listing) {
  HostFacts facts;
  facts.filters = {listing.ruleset, listing.iptables};
  const char* what = "ip rule";
  try {
    // `ip` prints nothing at all where there is nothing.
    const auto parse = [](const std::string& text) { return text.empty() ? json::array() : json::parse(text); };
    for (size_t family = 0; family < 2; ++family) {
      what = "ip rule";
      read_rules(parse(listing.rules[family]), family, facts);
      what = "ip route";
      read_routes(parse(listing.routes[family]), family, facts);
    }
    what = "nft list ruleset";
    RulesetReader(facts).read(json::parse(listing.ruleset));
  } catch (const json::exception& e) {
    return Error{fmt::format("what `{}` printed cannot be understood: {}", what, e.what())};
  }
  facts.mark_bits |= mark_bits_of_iptables(listing.iptables);
  facts.tracks = facts.tracks || listing.tracked > 0 || listing.iptables.find("*nat") != std::string::npos ||
                 listing.iptables.find("conntrack") != std::string::npos;
  return facts;
}

Result<DivertNumbers> free_numbers(const HostFacts& facts) {
  DivertNumbers numbers;
  // Container networks, VPNs and load balancers mostly take low bits; the highest makes numbers that look negative.
  for (const int bit : {24, 25, 26, 27, 28, 29, 30, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 31})
    if (numbers.mark == 0 && (facts.mark_bits >> bit & 1U) == 0) numbers.mark = 1U << bit;
  if (numbers.mark == 0) return Error{"no bit of packet marks (fwmark) is free"};

  std::set<uint32_t> tables, priorities;
  uint32_t lowest = kMainPriority;
  for (size_t family = 0; family < 2; ++family) {
    tables.insert(facts.route_tables[family].begin(), facts.route_tables[family].end());
    for (const PolicyRule& rule : facts.rules[family]) {
      tables.insert(rule.table);
      priorities.insert(rule.priority);
      if (rule.priority > 0) lowest = std::min(lowest, rule.priority);
    }
  }
  numbers.table = kFirstTable;
  while (tables.contains(numbers.table)) ++numbers.table;
  // Before all rules of others, which may catch everything; the one of the local table has 0.
  numbers.priority = std::min(kWantedPriority, lowest - 1);
  if (numbers.priority == 0) return Error{"another policy rule (`ip rule`) has priority 1: none is left before it"};
  if (facts.tracks) {
    numbers.zone = kFirstZone;
    while (facts.zones.contains(numbers.zone)) ++numbers.zone;
  }
  return numbers;
}

}  // namespace smtpscope
