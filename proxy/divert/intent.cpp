#include "proxy/divert/intent.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "config/ip.h"
#include "config/sender_spec.h"
#include "config/units.h"

namespace smtpscope {
namespace {

constexpr uint16_t kSmtpPort = 25;
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
  Planner(const Settings& settings, const ResolvedNames& names) : settings_(settings), names_(names) {}

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
    bool any = false;
    for (DivertFamily& family : out_.intent.families) {
      family.senders = filter->ranges(family.v6 ? IpAddress::Family::v6 : IpAddress::Family::v4);
      any = any || !family.senders.empty();
      if (!family.senders.empty() && family.listen_port == 0)
        warning("/listeners", fmt::format("no \"tproxy\" listener for IPv{}: its senders go straight to the gateway",
                                          family.suffix()));
    }
    if (any && !out_.intent.families[0].on() && !out_.intent.families[1].on())
      fault("/listeners", "the \"tproxy\" listeners are of the one family of addresses, and all senders of the other");
    if (!any)
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
        }
      }
      if (!out_.intent.families[0].on() && !out_.intent.families[1].on())
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
  DivertPlanning out_;
};

}  // namespace

DivertPlanning plan_divert(const Settings& settings, const ResolvedNames& names) {
  return Planner(settings, names).plan();
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
