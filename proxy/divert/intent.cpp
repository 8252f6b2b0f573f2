#include "proxy/divert/intent.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "config/ip.h"
#include "config/sender_spec.h"
#include "config/units.h"

namespace smtpscope {
namespace {

constexpr size_t kLongestInterfaceName = 15;

bool has_name(const std::vector<std::string>& entries) {
  return std::any_of(entries.begin(), entries.end(), [](const std::string& entry) {
    const auto spec = parse_sender_spec(entry);
    return spec && spec->needs_dns();
  });
}

bool is_interface_name(std::string_view name) {
  return name.size() <= kLongestInterfaceName && name != "." && name != ".." &&
         name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
             std::string_view::npos;
}

class Planner {
 public:
  Planner(const Settings& settings, const ResolvedNames& names, const std::vector<DivertWindow>& windows,
          std::optional<uint64_t> config_left_s)
      : settings_(settings), names_(names), windows_(windows), config_left_s_(config_left_s) {}

  DivertPlanning plan() {
    DivertIntent& intent = out_.intent;
    intent.families[1].v6 = true;
    if (settings_.gateway.address.port != 0) intent.port = settings_.gateway.address.port;
    intent.for_s = (settings_.capture.for_ms + 999) / 1000;
    intent.bridge = settings_.divert.bridge;
    listeners();
    senders();
    destinations();
    if (!intent.bridge.empty()) bridge();
    return std::move(out_);
  }

 private:
  void fault(std::string pointer, std::string message) {
    out_.faults.push_back({std::move(pointer), std::move(message)});
  }
  void warning(std::string pointer, std::string message) {
    out_.warnings.push_back({std::move(pointer), std::move(message)});
  }

  void listeners() {
    bool any = false;
    for (size_t i = 0; i < settings_.listeners.size(); ++i) {
      const ListenerSettings& listener = settings_.listeners[i];
      const auto address = IpAddress::parse(listener.address.host);
      if (listener.accept != Accept::tproxy || !address) continue;
      any = true;
      const std::string pointer = fmt::format("/listeners/{}/address", i);
      DivertFamily& family = out_.intent.families[address->is_v4() ? 0 : 1];
      if (family.listen_port != 0) {
        warning(pointer, "nothing is diverted to it: the first \"tproxy\" listener of its family gets all");
        continue;
      }
      family.listen_port = listener.address.port;
      const bool wildcard = *address == IpAddress::v4(0) || *address == IpAddress();
      if (!wildcard) family.listen_ip = address->to_string();
      // Packets of direct sessions in progress would find this listener, and be diverted into the void.
      if (!wildcard && family.listen_port == out_.intent.port)
        fault(pointer, fmt::format("a \"tproxy\" listener on the gateway's own port has to be on {}:{}",
                                   family.v6 ? "[::]" : "0.0.0.0", family.listen_port));
    }
    if (!any)
      fault(
          "/listeners",
          "no listener for diverted connections: add {\"address\": \"0.0.0.0:10025\", \"accept\": \"tproxy\"}, and the "
          "same with [::] for IPv6");
  }

  void senders() {
    // Whom an exclusion means must be known; the fault says so, and what is planned is not used.
    const auto filter = SenderFilter::build(settings_.capture.senders, settings_.capture.exclude, names_);
    if (!filter) return fault("/capture/senders", filter.error());
    for (const SettingsIssue& issue : undivertable_senders(settings_)) out_.warnings.push_back(issue);
    unresolved(settings_.capture.senders, "senders");
    unresolved(settings_.capture.exclude, "exclude");
    if (!filter->withheld().empty()) return;
    std::vector<SenderFilter> opened;
    for (const DivertWindow& window : windows_) {
      auto more = SenderFilter::build(window.senders, window.exclude, names_);
      if (!more) return fault("/capture/senders", "of an open window: " + more.error());
      opened.push_back(std::move(*more));
    }
    bool any = false;
    for (DivertFamily& family : out_.intent.families) {
      const auto of_family = family.v6 ? IpAddress::Family::v6 : IpAddress::Family::v4;
      if (opened.empty() && !config_left_s_) {
        family.senders = filter->ranges(of_family);
      } else {
        std::vector<DivertStretch> stretches;
        for (const auto& range : filter->ranges(of_family))
          stretches.push_back({range, config_left_s_.value_or(out_.intent.for_s)});
        for (size_t i = 0; i < opened.size(); ++i)
          for (const auto& range : opened[i].ranges(of_family)) stretches.push_back({range, windows_[i].left_s});
        put_senders(stretches, family);
      }
      any = any || !family.senders.empty();
      if (!family.senders.empty() && family.listen_port == 0)
        warning("/listeners", fmt::format("no \"tproxy\" listener for IPv{}: its senders go straight to the gateway",
                                          family.suffix()));
    }
    if (any && !out_.intent.families[0].on() && !out_.intent.families[1].on())
      fault("/listeners", "the \"tproxy\" listeners are of the one family of addresses, and all senders of the other");
    out_.nobody = !any;
    if (!any && settings_.capture.senders.empty())
      fault("/capture/senders",
            "there is nobody to divert: no senders stand here, and no window is open (smtpscope window open)");
    else if (!any)
      fault("/capture/senders",
            has_name(settings_.capture.senders)
                ? "none of the names has an address, and the kernel diverts by address: write the addresses of the "
                  "partner's mail servers, or name them by \"spf:\" or \"mx:\""
                : "there is nobody to divert: all senders are excluded, or there are none");
  }

  void unresolved(const std::vector<std::string>& entries, std::string_view list) {
    for (size_t i = 0; i < entries.size(); ++i) {
      const auto spec = parse_sender_spec(entries[i]);
      if (!spec || !spec->has_addresses()) continue;
      const auto known = names_.find(spec->key());
      if (known != names_.end() && known->second.whole) continue;
      const std::string pointer = fmt::format("/capture/{}/{}", list, i);
      if (list == "exclude")
        fault(pointer, fmt::format("{} could not be resolved: whom it means would be diverted", quoted(entries[i])));
      else if (known == names_.end())
        warning(pointer, fmt::format("{} could not be resolved, and is left out", quoted(entries[i])));
      else
        warning(pointer, fmt::format("{} could be resolved only in part", quoted(entries[i])));
    }
  }

  void destinations() {
    const auto& wanted = settings_.divert.destinations;
    if (!wanted.empty()) {
      const auto filter = SenderFilter::build(wanted, {});
      if (!filter) return fault("/divert/destinations", filter.error());
      for (DivertFamily& family : out_.intent.families) {
        family.destinations = filter->ranges(family.v6 ? IpAddress::Family::v6 : IpAddress::Family::v4);
        if (family.destinations.empty() && family.on()) {
          warning("/divert/destinations",
                  fmt::format("no IPv{} address: none of its senders is diverted", family.suffix()));
          family.senders.clear();
          family.senders_for_s.clear();
        }
      }
      if (!out_.nobody && !out_.intent.families[0].on() && !out_.intent.families[1].on())
        fault("/divert/destinations", "none is of the same family as a sender and its listener");
      return;
    }
    const auto gateway = IpAddress::parse(settings_.gateway.address.host);
    for (DivertFamily& family : out_.intent.families) {
      if (gateway && gateway->is_v4() != family.v6) family.destinations = {{*gateway, *gateway}};
      if (family.on() && family.destinations.empty())
        warning("/divert/destinations",
                fmt::format("IPv{} connections of the senders to port {} are diverted whatever host they are for; name "
                            "the gateway's addresses if this host passes mail for others too",
                            family.suffix(), out_.intent.port));
    }
  }

  void bridge() {
    if (!is_interface_name(out_.intent.bridge)) fault("/divert/bridge", "is no name of an interface");
    for (const DivertFamily& family : out_.intent.families)
      if (family.on() && family.listen_port != out_.intent.port)
        fault("/divert/bridge",
              fmt::format("on a bridge the \"tproxy\" listener has to be on the gateway's own port: {}:{}",
                          family.v6 ? "[::]" : "0.0.0.0", out_.intent.port));
  }

  const Settings& settings_;
  const ResolvedNames& names_;
  const std::vector<DivertWindow>& windows_;
  const std::optional<uint64_t> config_left_s_;
  DivertPlanning out_;
};

}  // namespace

void put_senders(const std::vector<DivertStretch>& stretches, DivertFamily& family) {
  constexpr uint64_t kForEver = ~uint64_t{0};
  constexpr IpAddress kLastV4 = IpAddress::v4(0xFFFFFFFF), kLastV6 = IpAddress::v6(~uint64_t{0}, ~uint64_t{0});
  struct Edge {
    IpAddress at;
    bool begins;
    uint64_t for_s;
  };
  std::vector<Edge> edges;
  for (const DivertStretch& s : stretches) {
    const uint64_t for_s = s.for_s == 0 ? kForEver : s.for_s;
    edges.push_back({s.range.first, true, for_s});
    if (s.range.last != kLastV6) edges.push_back({s.range.last.next(), false, for_s});  // it would wrap
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.at < b.at; });
  std::multiset<uint64_t> in_force;
  family.senders.clear();
  family.senders_for_s.clear();
  for (size_t i = 0; i < edges.size();) {
    const IpAddress at = edges[i].at;
    for (; i < edges.size() && edges[i].at == at; ++i)
      if (edges[i].begins)
        in_force.insert(edges[i].for_s);
      else
        in_force.erase(in_force.find(edges[i].for_s));
    if (in_force.empty()) continue;
    const IpAddress last = i < edges.size() ? edges[i].at.previous() : family.v6 ? kLastV6 : kLastV4;
    const uint64_t for_s = *in_force.rbegin() == kForEver ? 0 : *in_force.rbegin();
    if (!family.senders.empty() && family.senders.back().last.next() == at && family.senders_for_s.back() == for_s) {
      family.senders.back().last = last;
    } else {
      family.senders.push_back({at, last});
      family.senders_for_s.push_back(for_s);
    }
  }
}

DivertPlanning plan_divert(const Settings& settings, const ResolvedNames& names,
                           const std::vector<DivertWindow>& windows, std::optional<uint64_t> config_left_s) {
  return Planner(settings, names, windows, config_left_s).plan();
}

AddressRanges joined(const AddressRanges& ranges) {
  AddressRanges out;
  for (const auto& range : ranges)
    if (!out.empty() && out.back().last.next() == range.first)
      out.back().last = range.last;
    else
      out.push_back(range);
  return out;
}

std::string ranges_text(const AddressRanges& ranges) {
  std::string text;
  for (const auto& range : ranges) {
    if (!text.empty()) text += ", ";
    text += range.first.to_string();
    if (range.first != range.last) text.append("-").append(range.last.to_string());
  }
  return text;
}

}  // namespace smtpscope
