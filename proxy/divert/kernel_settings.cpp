#include "proxy/divert/kernel_settings.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string_view>

namespace smtpscope {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNoV6 = "net/ipv6/conf/lo/disable_ipv6";  // there the route of what is diverted leads
constexpr const char* kFilterBridged[] = {"nf_call_iptables", "nf_call_ip6tables"};
constexpr const char* kFilterAllBridged[] = {"net/bridge/bridge-nf-call-iptables",
                                             "net/bridge/bridge-nf-call-ip6tables"};

std::string path_of(const std::string& name) {
  constexpr std::string_view kBridge = "bridge/";
  if (!name.starts_with(kBridge)) return "/proc/sys/" + name;
  const size_t slash = name.find('/', kBridge.size());
  return fmt::format("/sys/class/net/{}/bridge{}", name.substr(kBridge.size(), slash - kBridge.size()),
                     name.substr(slash));
}

std::string value(const KernelSettings& now, const std::string& name) {
  const auto it = now.find(name);
  return it == now.end() ? std::string() : it->second;
}

/// "eth0" of "net/ipv4/conf/eth0/forwarding" where front and end fit; else empty.
std::string interface_of(const std::string& name, std::string_view front, std::string_view end) {
  if (!name.starts_with(front) || !name.ends_with(end) || name.size() <= front.size() + end.size()) return "";
  return name.substr(front.size(), name.size() - front.size() - end.size());
}

/// Interfaces proper: not the two that stand for others, not loopback.
bool is_interface(const std::string& name) {
  return !name.empty() && name != "all" && name != "default" && name != "lo";
}

class Needs {
 public:
  Needs(const DivertIntent& intent, const KernelSettings& now, const HostFacts& facts)
      : intent_(intent), now_(now), facts_(facts) {}

  Result<std::vector<ChangedSetting>> all() {
    if (intent_.families[0].on()) marks_checked();
    if (intent_.families[1].on()) v6_there();
    if (!intent_.bridge.empty()) {
      bridge();
    } else {
      if (intent_.families[0].on()) forward("net/ipv4/conf/", "/forwarding");
      if (intent_.families[1].on()) forward_v6();
    }
    if (!error_.message.empty()) return error_;
    return std::move(changes_);
  }

 private:
  void change(const std::string& name, const std::string& during) {
    changes_.push_back({name, value(now_, name), during});
  }

  /// With this setting the kernel looks for the way back of a marked packet in our table, where everything is local.
  void marks_checked() {
    for (const auto& [name, on] : now_)
      if (const auto interface = interface_of(name, "net/ipv4/conf/", "/src_valid_mark");
          !interface.empty() && on == "1")
        error_ = {fmt::format(
            "net.ipv4.conf.{}.src_valid_mark is 1 (a WireGuard client sets it so): the kernel would drop diverted "
            "packets as coming from a wrong way. Set it to 0, or divert on another host.",
            interface)};
  }

  void v6_there() {
    if (now_.contains(kForwardAllV6) && value(now_, kNoV6) != "1") return;
    error_ = {
        "IPv6 is switched off on this host (net.ipv6.conf.all.disable_ipv6), so nothing of it can be diverted: leave "
        "out the \"[::]\" listener and all IPv6 addresses (capture.senders, divert.destinations)"};
  }

  void forward(std::string_view front, std::string_view end) {
    for (const auto& [name, on] : now_)
      if (is_interface(interface_of(name, front, end)) && on == "0") change(name, "1");
  }

  void forward_v6() {
    if (value(now_, kForwardAllV6) != "0") return;
    // Since Linux 6.17 an interface can forward though the host as a whole does not.
    if (now_.contains("net/ipv6/conf/all/force_forwarding")) return forward("net/ipv6/conf/", "/force_forwarding");
    if (facts_.default_route_announced) {
      error_ = {
          "IPv6 forwarding is off here, and the IPv6 default route comes from router advertisements: the kernel would "
          "forget it if forwarding were switched on. Set a static default route, or net.ipv6.conf.all.forwarding=1 "
          "(and accept_ra=2), as a router has it."};
      return;
    }
    change(kForwardAllV6, "1");
    for (const auto& [name, on] : now_)
      if (name != kForwardAllV6 && !interface_of(name, "net/ipv6/conf/", "/forwarding").empty()) change(name, "1");
  }

  void bridge() {
    for (size_t i = 0; i < 2; ++i) {
      const std::string own = fmt::format("bridge/{}/{}", intent_.bridge, kFilterBridged[i]);
      if (!intent_.families[i].on()) continue;
      if (!now_.contains(own)) {
        error_ = {fmt::format("{} is no bridge of this host", intent_.bridge)};
      } else if (!now_.contains(kFilterAllBridged[i])) {
        error_ = {
            "the kernel has no br_netfilter, without which it cannot divert what is bridged: modprobe br_netfilter"};
      } else if (value(now_, kFilterAllBridged[i]) == "0" && value(now_, own) == "0") {
        change(own, "1");
      }
    }
  }

  const DivertIntent& intent_;
  const KernelSettings& now_;
  const HostFacts& facts_;
  std::vector<ChangedSetting> changes_;
  Error error_;
};

}  // namespace

std::string read_kernel_setting(const std::string& name) {
  std::ifstream in(path_of(name));
  std::string value;
  std::getline(in, value);
  return value;
}

KernelSettings read_kernel_settings(const std::string& bridge) {
  KernelSettings settings;
  const auto take = [&](const std::string& name) {
    if (std::error_code ignored; fs::exists(path_of(name), ignored)) settings[name] = read_kernel_setting(name);
  };
  for (const char* folder : {"net/ipv4/conf", "net/ipv6/conf"}) {
    std::error_code error;
    for (fs::directory_iterator it(fs::path("/proc/sys") / folder, error), end; !error && it != end;
         it.increment(error))
      for (const char* key : {"forwarding", "force_forwarding", "src_valid_mark"})
        take(fmt::format("{}/{}/{}", folder, it->path().filename().string(), key));
  }
  take(kNoV6);
  for (size_t i = 0; i < 2 && !bridge.empty(); ++i) {
    take(kFilterAllBridged[i]);
    take(fmt::format("bridge/{}/{}", bridge, kFilterBridged[i]));
  }
  return settings;
}

Result<std::vector<ChangedSetting>> needed_settings(const DivertIntent& intent, const KernelSettings& now,
                                                    const HostFacts& facts) {
  return Needs(intent, now, facts).all();
}

}  // namespace smtpscope
