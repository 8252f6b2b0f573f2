#include "config/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "config/ip.h"
#include "config/sender_spec.h"
#include "config/units.h"

namespace smtpscope {
namespace {

constexpr uint64_t kMaxHeaderTimeoutMs = 60'000;

bool is_wildcard(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

bool is_loopback(const std::string& host) {
  const auto address = IpAddress::parse(host);
  return address && (address->is_v4() ? address->v4_bits() >> 24 == 127 : *address == IpAddress::v6(0, 1));
}

/// True when what connects to the gateway's address would come back to this listener.
bool leads_back(const HostPort& listener, const HostPort& gateway) {
  if (listener.port != gateway.port) return false;
  return listener.host == gateway.host || (is_wildcard(listener.host) && is_loopback(gateway.host)) ||
         is_wildcard(gateway.host);
}

/// Do all connections come with the address that they were going to?
bool only_diverted(const Settings& settings) {
  return !settings.listeners.empty() &&
         std::all_of(settings.listeners.begin(), settings.listeners.end(),
                     [](const ListenerSettings& l) { return l.accept == Accept::tproxy; });
}

}  // namespace

std::vector<SettingsIssue> contradictions(const Settings& settings) {
  std::vector<SettingsIssue> issues;
  if (settings.listeners.empty()) {
    issues.push_back(
        {"/listeners", "no listener: say where senders connect to, as in [{\"address\": \"0.0.0.0:25\"}]"});
  }
  if (settings.gateway.address.port == 0 && !only_diverted(settings)) {
    issues.push_back({"/gateway/address", "no gateway: say where mail goes to, as in \"10.0.0.1:25\""});
  }
  if (settings.control.listen && !is_loopback(settings.control.listen->host) && settings.control.token_file.empty()) {
    issues.push_back(
        {"/control/listen", fmt::format("{} can be reached from outside of this host: say a \"token_file\" "
                                        "too, or listen on 127.0.0.1",
                                        format_host_port(*settings.control.listen))});
  }
  for (size_t i = 0; i < settings.capture.exclude.size(); ++i) {
    const auto spec = parse_sender_spec(settings.capture.exclude[i]);
    if (!spec || spec->kind != SenderSpec::Kind::any) continue;
    issues.push_back({fmt::format("/capture/exclude/{}", i),
                      "\"any\" excludes everyone: nobody would ever be recorded. To record nobody until a window is "
                      "opened: \"senders\": []"});
  }
  for (size_t i = 0; i < settings.listeners.size(); ++i) {
    const ListenerSettings& listener = settings.listeners[i];
    for (size_t j = 0; j < i; ++j) {
      if (settings.listeners[j].address != listener.address) continue;
      issues.push_back({fmt::format("/listeners/{}/address", i), fmt::format("the same address as /listeners/{}", j)});
      break;
    }
    if (!listener.trusted.empty() && listener.accept != Accept::proxy_protocol) {
      issues.push_back({fmt::format("/listeners/{}/trusted", i), "is only for \"accept\": \"proxy-protocol\""});
    }
    if (listener.accept == Accept::proxy_protocol && listener.trusted.empty()) {
      issues.push_back({fmt::format("/listeners/{}/accept", i),
                        "\"proxy-protocol\" needs \"trusted\": the addresses of the load balancers whose header is "
                        "believed, as in [\"10.0.0.5\"]"});
    }
    if (listener.header_timeout_ms == 0 || listener.header_timeout_ms > kMaxHeaderTimeoutMs) {
      issues.push_back({fmt::format("/listeners/{}/header_timeout", i), "must be from \"1ms\" to \"1m\""});
    }
    // A diverted connection is meant for the gateway's own address.
    if (listener.accept != Accept::tproxy && leads_back(listener.address, settings.gateway.address)) {
      issues.push_back({"/gateway/address", fmt::format("is the listener {} itself: mail would go round in a circle",
                                                        format_host_port(listener.address))});
    }
  }
  return issues;
}

std::vector<SettingsIssue> unavailable(const Settings& settings) {
  std::vector<SettingsIssue> issues;
  const auto add = [&](std::string pointer, std::string_view what) {
    issues.push_back({std::move(pointer), fmt::format("{} is not available in this version yet", what)});
  };
  if (settings.starttls == StartTlsMode::intercept) add("/starttls/mode", "\"intercept\"");
  if (settings.starttls == StartTlsMode::hide) add("/starttls/mode", "\"hide\"");
  if (settings.store.injection_log) add("/store/injection_log", "writing injection logs");
  return issues;
}

std::vector<SettingsIssue> doubtful(const Settings& settings) {
  std::vector<SettingsIssue> issues;
  const auto scan = [&](const std::vector<std::string>& entries, const std::string& list) {
    for (size_t i = 0; i < entries.size(); ++i) {
      const std::string& entry = entries[i];
      const size_t slash = std::min(entry.find('/'), entry.size());
      const auto address = slash < entry.size() ? IpAddress::parse(entry.substr(0, slash)) : std::nullopt;
      const auto network = address ? parse_sender_spec(entry) : Result<SenderSpec>(Error{});
      if (!network || network->first == *address) continue;
      issues.push_back(
          {fmt::format("{}/{}", list, i),
           fmt::format("{} names a host and the length of a network: taken as the network {}{}; if the one "
                       "host is meant, write \"{}\"",
                       quoted(entry), network->first.to_string(), entry.substr(slash), address->to_string())});
    }
  };
  scan(settings.capture.senders, "/capture/senders");
  scan(settings.capture.exclude, "/capture/exclude");
  scan(settings.divert.destinations, "/divert/destinations");
  for (size_t i = 0; i < settings.listeners.size(); ++i)
    scan(settings.listeners[i].trusted, fmt::format("/listeners/{}/trusted", i));
  return issues;
}

std::vector<SettingsIssue> undivertable_senders(const Settings& settings) {
  std::vector<SettingsIssue> issues;
  const bool diverts = std::any_of(settings.listeners.begin(), settings.listeners.end(),
                                   [](const ListenerSettings& l) { return l.accept == Accept::tproxy; });
  const auto scan = [&](const std::vector<std::string>& entries, std::string_view list) {
    for (size_t i = 0; i < entries.size(); ++i) {
      const auto spec = parse_sender_spec(entries[i]);
      if (!spec || spec->kind != SenderSpec::Kind::domain) continue;
      issues.push_back(
          {fmt::format("/capture/{}/{}", list, i),
           fmt::format(
               "{} cannot be put into the kernel's set by address, since only a sender's own name tells whether "
               "it is one of them: {}",
               quoted(entries[i]),
               list == "exclude"
                   ? "its hosts are diverted too, where another entry names them, but not recorded"
                   : "`divert on` leaves it out, and it matches only senders that another entry diverts; \"spf:\" "
                     "and \"mx:\" can be put there")});
    }
  };
  if (!diverts) return issues;
  scan(settings.capture.senders, "senders");
  scan(settings.capture.exclude, "exclude");
  return issues;
}

}  // namespace smtpscope
