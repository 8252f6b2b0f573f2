#include "proxy/commands/captured_senders.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "config/ip.h"
#include "config/sender_spec.h"
#include "config/units.h"
#include "proxy/relay/proxy.h"

namespace smtpscope {
namespace {

std::vector<std::string> entries_of(const Settings& settings) {
  std::vector<std::string> entries = settings.capture.senders;
  entries.insert(entries.end(), settings.capture.exclude.begin(), settings.capture.exclude.end());
  return entries;
}

bool has_names(const std::vector<std::string>& entries) {
  return std::any_of(entries.begin(), entries.end(), [](const std::string& entry) {
    const auto spec = parse_sender_spec(entry);
    return spec && spec->has_addresses();
  });
}

}  // namespace

Result<SenderMatch> CapturedSenders::match(const Settings& settings) const {
  static const ResolvedNames none;
  Result<SenderFilter> filter =
      SenderFilter::build(settings.capture.senders, settings.capture.exclude, resolver_ ? resolver_->names() : none);
  if (!filter) return Error{filter.error()};
  const auto shared = std::make_shared<const SenderFilter>(std::move(*filter));
  return SenderMatch{[shared](const std::string& ip) -> std::optional<std::string_view> {
                       const auto address = IpAddress::parse(ip);
                       return address ? shared->match(*address) : std::nullopt;
                     },
                     shared->has_domains() ? shared : nullptr, shared->withheld()};
}

void CapturedSenders::begin(uv_loop_t* loop, Proxy& proxy) {
  loop_ = loop;
  follow(proxy);
}

void CapturedSenders::follow(Proxy& proxy) {
  const Settings& settings = proxy.settings();
  const std::vector<std::string> entries = entries_of(settings);
  if (!has_names(entries)) {
    if (std::exchange(resolver_, nullptr)) changed(proxy);
    return;
  }
  try {
    if (!resolver_ || server_ != settings.dns.resolver) {
      server_ = settings.dns.resolver;
      resolver_.reset();
      resolver_ = std::make_unique<NameResolver>(loop_, server_ ? format_host_port(*server_) : "",
                                                 [this, &proxy] { changed(proxy); });
    }
    resolver_->watch(entries);
  } catch (const std::exception& e) {
    spdlog::warn("{}; names of senders match nobody", e.what());
  }
  changed(proxy);
}

void CapturedSenders::changed(Proxy& proxy) {
  const Settings& settings = proxy.settings();
  RelayMetrics& metrics = proxy.metrics();
  metrics.names_good = metrics.names_kept = metrics.names_failed = 0;
  if (resolver_)
    for (const NameResolver::State& state : resolver_->states())
      RelayMetrics::add(state.failure.empty() && state.tried ? metrics.names_good
                        : state.kept                         ? metrics.names_kept
                                                             : metrics.names_failed);
  const Result<SenderMatch> now = match(settings);
  if (!now) return;  // it was right when the settings were taken
  proxy.rematch(now->by_address, now->by_name);
  tell(now->withheld);
}

void CapturedSenders::tell(const std::vector<std::string>& withheld) {
  const std::string text = fmt::format("{}", fmt::join(withheld, ", "));
  if (text == std::exchange(told_, text)) return;
  if (text.empty())
    spdlog::info("all names in \"exclude\" are known: capture goes on");
  else
    spdlog::warn("nobody is captured until it is known whom \"exclude\" means by {}", text);
}

}  // namespace smtpscope
