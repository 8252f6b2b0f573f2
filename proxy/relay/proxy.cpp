#include "proxy/relay/proxy.h"

#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "capture/store/paths.h"
#include "capture/store/recovery.h"
#include "capture/store/window_log.h"
#include "config/reload.h"
#include "proxy/clock.h"
#include "proxy/relay/listeners.h"

namespace smtpscope {
namespace {

/// A session costs its recorder about half of what it costs its loop, and each thread more takes processors from loops.
constexpr uint32_t kLoopsARecorder = 2;

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// One a processor that this process may use: a loop alone leaves the other half of a busy host's work to one thread.
/// Beyond four the kernel's own work is the limit.
uint32_t workers_by_default() {
  constexpr int kMost = 4;
  cpu_set_t mine;
  const int count = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1;
  return static_cast<uint32_t>(std::clamp(count, 1, kMost));
}

/// One snapshot of the settings; the windows, the gate and the rest that outlives them are for the caller to fill in.
std::shared_ptr<RelayContext> context_of(const Settings& settings) {
  auto context = std::make_shared<RelayContext>();
  context->settings = std::make_shared<const Settings>(settings);
  if (settings.gateway.address.port != 0) context->gateway = address_of(settings.gateway.address, "gateway");
  for (const ListenerSettings& listener : settings.listeners) {
    Result<SenderFilter> trusted = SenderFilter::build(listener.trusted, {});
    if (!trusted) throw std::runtime_error("trusted: " + trusted.error());
    context->trusted.push_back(std::move(*trusted));
  }
  return context;
}

/// The configuration's own, from now on; null if it is nobody's.
std::shared_ptr<CaptureWindow> window_of(const CaptureSettings& capture) {
  if (capture.senders.empty()) return nullptr;
  const int64_t now = unix_us();
  const int64_t until = capture.for_ms == 0 ? 0 : now + static_cast<int64_t>(capture.for_ms) * 1000;
  DebugWindow terms{"config", capture.senders, capture.exclude, capture.sessions, now, until, ""};
  return std::make_shared<CaptureWindow>(std::move(terms), WindowTally(), nullptr);
}

}  // namespace

Proxy::Proxy(const Settings& settings, std::shared_ptr<const SenderFilter> filter, InheritedSockets inherited) {
  raise_descriptor_limit();
  const auto context = context_of(settings);
  context->instance = new_ulid(unix_us());
  context->gate = std::make_shared<CaptureGate>();
  config_ = {window_of(settings.capture), std::move(filter)};
  put_windows(*context);
  context->refusals = std::make_shared<HeaderRefusals>();
  context->metrics = std::make_shared<RelayMetrics>();
  context_ = context;
  try {
    instance_ = std::make_unique<Instance>(settings.store.path, context_->instance);
  } catch (const std::exception& e) {
    spdlog::error("{}; sessions pass, but may not be recorded", e.what());
  }
  const RecoveryReport recovered = recover(settings.store.path, context_->instance);
  for (const std::string& problem : recovered.problems) spdlog::warn("recovery: {}", problem);
  const uint32_t count = settings.workers > 0 ? settings.workers : workers_by_default();
  Listeners listeners = open_listeners(settings, count, inherited);
  addresses_ = std::move(listeners.addresses);
  const uint32_t recorders = (count + kLoopsARecorder - 1) / kLoopsARecorder;
  for (uint32_t i = 0; i < recorders; ++i)
    recorders_.push_back(std::make_unique<Recorder>(settings.store.path, *context_->metrics,
                                                    std::min(kLoopsARecorder, count - i * kLoopsARecorder), recorders));
  for (auto& sockets : listeners.of_worker)
    workers_.push_back(
        std::make_unique<Worker>(context_, std::move(sockets), recorders_[workers_.size() / kLoopsARecorder]->queue()));
}

Proxy::~Proxy() = default;

/// Tells windows.log that we listen, or no longer do. Readers then know more; nothing depends on it.
void Proxy::log_window(bool begins) {
  if (!instance_ || begins == window_open_) return;
  const int64_t now = unix_us();
  const CaptureSettings& capture = settings().capture;
  store_.run([begins, path = settings().store.path,
              window = RecordingWindow{context_->instance, addresses_, capture.senders, capture.exclude,
                                       capture.sessions, capture.for_ms, now, now}] {
    const std::error_code error =
        begins ? log_window_begin(path, window) : log_window_end(path, window.instance, window.to_us);
    if (error) spdlog::warn("{}: {}", windows_path(path), error.message());
  });
  window_open_ = begins;
}

void Proxy::put_windows(RelayContext& context) const {
  context.windows.clear();
  if (config_.window) context.windows.push_back(config_);
  context.windows.insert(context.windows.end(), opened_.begin(), opened_.end());
  context.names_decide = std::any_of(context.windows.begin(), context.windows.end(),
                                     [](const CaptureGate::Open& open) { return open.filter->has_domains(); });
}

void Proxy::set_windows(std::vector<CaptureGate::Open> opened) {
  opened_ = std::move(opened);
  replace_windows();
}

void Proxy::set_filter(std::shared_ptr<const SenderFilter> filter) {
  config_.filter = std::move(filter);
  replace_windows();
}

void Proxy::replace_windows() {
  const auto context = std::make_shared<RelayContext>(*context_);
  put_windows(*context);
  context_ = context;
  for (auto& worker : workers_) worker->reconfigure(context_);
}

std::vector<SettingsIssue> Proxy::reload(const Settings& settings, std::shared_ptr<const SenderFilter> filter) {
  ReloadPlan plan = plan_reload(*context_->settings, settings);
  const auto context = context_of(plan.settings);
  context->instance = context_->instance;
  context->gate = context_->gate;
  context->refusals = context_->refusals;
  context->metrics = context_->metrics;
  const bool new_window = !same_window(plan.settings.capture, context_->settings->capture);
  const bool told = window_open_ && new_window;
  if (told) log_window(false);
  if (new_window) {
    if (config_.window) config_.window->close("configuration");
    config_.window = window_of(plan.settings.capture);
  }
  config_.filter = std::move(filter);
  put_windows(*context);
  context_ = context;
  if (told) log_window(true);
  for (auto& worker : workers_) worker->reconfigure(context_);
  return std::move(plan.kept);
}

void Proxy::start() {
  started_ = true;
  log_window(true);
  for (auto& worker : workers_) worker->start();
}
void Proxy::drain() {
  draining_ = true;
  log_window(false);
  for (auto& worker : workers_) worker->drain();
}
void Proxy::end_now(const char* cause) {
  for (auto& worker : workers_) worker->end_now(cause);
}
std::vector<int> Proxy::listening_sockets() const {
  std::vector<int> all;
  if (draining_) return all;
  for (const auto& worker : workers_)
    for (const int fd : worker->listening_sockets()) all.push_back(fd);
  return all;
}
std::vector<const Pulse*> Proxy::pulses() const {
  std::vector<const Pulse*> pulses;
  for (const auto& worker : workers_) pulses.push_back(&worker->pulse());
  return pulses;
}
std::vector<size_t> Proxy::recorder_backlogs() const {
  std::vector<size_t> backlogs;
  for (const auto& recorder : recorders_) backlogs.push_back(recorder->queue().pending());
  return backlogs;
}
bool Proxy::done() const {
  const auto done = [](const auto& each) { return each->done(); };
  return std::all_of(workers_.begin(), workers_.end(), done) && std::all_of(recorders_.begin(), recorders_.end(), done);
}
void Proxy::join() {
  for (auto& worker : workers_) worker->join();
  for (auto& recorder : recorders_) recorder->join();
  log_window(false);
  if (instance_) instance_->finish();
}

}  // namespace smtpscope
