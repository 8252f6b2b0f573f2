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

bool has_names(const std::vector<std::string>& entries) {
  return std::any_of(entries.begin(), entries.end(), [](const std::string& entry) {
    const auto spec = parse_sender_spec(entry);
    return spec && spec->has_addresses();
  });
}

}  // namespace

Result<std::shared_ptr<const SenderFilter>> CapturedSenders::filter(const std::vector<std::string>& senders,
                                                                    const std::vector<std::string>& exclude) const {
  static const ResolvedNames none;
  Result<SenderFilter> built = SenderFilter::build(senders, exclude, resolver_ ? resolver_->names() : none);
  if (!built) return Error{built.error()};
  return std::make_shared<const SenderFilter>(std::move(*built));
}

void CapturedSenders::begin(uv_loop_t* loop, Proxy& proxy, WindowKeeper& windows, SenderFollower* follower) {
  loop_ = loop;
  proxy_ = &proxy;
  windows_ = &windows;
  follower_ = follower;
  follow();
}

void CapturedSenders::end() {
  loop_ = nullptr;
  resolver_.reset();
}

void CapturedSenders::follow() {
  if (loop_ == nullptr) return;
  const Settings& settings = proxy_->settings();
  std::vector<std::string> entries = windows_->entries();
  entries.insert(entries.end(), settings.capture.senders.begin(), settings.capture.senders.end());
  entries.insert(entries.end(), settings.capture.exclude.begin(), settings.capture.exclude.end());
  if (!has_names(entries)) {
    if (std::exchange(resolver_, nullptr))
      changed();
    else
      divert();
    return;
  }
  try {
    if (!resolver_ || server_ != settings.dns.resolver) {
      server_ = settings.dns.resolver;
      resolver_.reset();
      resolver_ =
          std::make_unique<NameResolver>(loop_, server_ ? format_host_port(*server_) : "", [this] { changed(); });
    }
    resolver_->watch(entries);
  } catch (const std::exception& e) {
    spdlog::warn("{}; names of senders match nobody", e.what());
  }
  changed();
}

void CapturedSenders::changed() {
  const CaptureSettings& capture = proxy_->settings().capture;
  RelayMetrics& metrics = proxy_->metrics();
  metrics.names_good = metrics.names_kept = metrics.names_failed = 0;
  if (resolver_)
    for (const NameResolver::State& state : resolver_->states())
      RelayMetrics::add(state.failure.empty() && state.tried ? metrics.names_good
                        : state.kept                         ? metrics.names_kept
                                                             : metrics.names_failed);
  std::vector<std::string> withheld = windows_->refilter();
  if (const auto now = filter(capture.senders, capture.exclude)) {  // it was right when the settings were taken
    proxy_->set_filter(*now);
    withheld.insert(withheld.begin(), (*now)->withheld().begin(), (*now)->withheld().end());
  }
  tell(withheld);
  divert();
}

/// A process that takes no more connections leaves that to the one in its place. Whom the kernel is to divert follows
/// from whom the open windows take. While a name has not been looked up yet, or nobody knows whom an exclusion means,
/// the kernel is left alone.
void CapturedSenders::divert() {
  if (follower_ == nullptr || !proxy_->accepts() || (resolver_ && !resolver_->settled())) return;
  Settings settings = proxy_->settings();
  std::vector<DivertWindow> opened;
  std::optional<uint64_t> config_left_s;
  windows_->take_config();  // else nobody would be diverted for a while after a reload that begins it anew
  for (WindowKeeper::Open& open : windows_->open_windows())
    if (open.terms.id == kConfigWindow)
      config_left_s = open.left_s;
    else
      opened.push_back({std::move(open.terms.senders), std::move(open.terms.exclude), open.left_s});
  if (!config_left_s) settings.capture.senders.clear();
  static const ResolvedNames none;
  DivertPlanning plan = plan_divert(settings, resolver_ ? resolver_->names() : none, opened, config_left_s.value_or(0));
  if (!plan.faults.empty() && !plan.nobody) return;
  bool whole = true;
  if (resolver_)
    for (const NameResolver::State& state : resolver_->states()) whole = whole && (state.failure.empty() || state.kept);
  follower_->follow({std::move(plan.intent), whole});
}

void CapturedSenders::tell(const std::vector<std::string>& withheld) {
  const std::string text = fmt::format("{}", fmt::join(withheld, ", "));
  if (text == std::exchange(told_, text)) return;
  if (text.empty())
    spdlog::info("all excluded names are known: capture goes on");
  else
    spdlog::warn("where {} is excluded, nobody is captured until it is known whom that means", text);
}

}  // namespace smtpscope
