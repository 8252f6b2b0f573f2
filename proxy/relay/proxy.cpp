#include "proxy/relay/proxy.h"

#include <fmt/format.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "capture/store/paths.h"
#include "capture/store/recovery.h"
#include "capture/store/window_log.h"
#include "config/reload.h"

namespace smtpscope {
namespace {

std::string shown(const Endpoint& e) {
  return e.ip.find(':') == std::string::npos ? fmt::format("{}:{}", e.ip, e.port)
                                             : fmt::format("[{}]:{}", e.ip, e.port);
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Address address_of(const HostPort& at, const char* what) {
  if (const auto address = make_address(at.host, at.port)) return *address;
  throw std::runtime_error(fmt::format("{}: {} is no IP address", what, at.host));
}

/// One a processor that this process may use: a loop alone leaves the other half of a busy host's work to one thread.
/// Beyond four the kernel's own work is the limit.
uint32_t workers_by_default() {
  constexpr int kMost = 4;
  cpu_set_t mine;
  const int count = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1;
  return static_cast<uint32_t>(std::clamp(count, 1, kMost));
}

/// One snapshot of the settings; the gate and the rest that outlives them are for the caller to fill in.
std::shared_ptr<RelayContext> context_of(const Settings& settings, CaptureGate::Match match,
                                         std::shared_ptr<const SenderFilter> by_name) {
  auto context = std::make_shared<RelayContext>();
  context->settings = settings;
  if (settings.gateway.address.port != 0) context->gateway = address_of(settings.gateway.address, "gateway");
  context->match = std::move(match);
  context->by_name = std::move(by_name);
  for (const ListenerSettings& listener : settings.listeners) {
    Result<SenderFilter> trusted = SenderFilter::build(listener.trusted, {});
    if (!trusted) throw std::runtime_error("trusted: " + trusted.error());
    context->trusted.push_back(std::move(*trusted));
  }
  return context;
}

std::string cannot_listen(const ListenerSettings& listener, const Address& address, int error) {
  const char* hint = error == EADDRINUSE ? " (ss -ltnp shows by whom)"
                     : error == EPERM && listener.accept == Accept::tproxy
                         ? " (\"accept\": \"tproxy\" needs root or CAP_NET_ADMIN)"
                         : "";
  return fmt::format("cannot listen on {}: {}{}", shown(endpoint_of(address)), std::strerror(error), hint);
}

}  // namespace

Proxy::Proxy(const Settings& settings, CaptureGate::Match match, std::shared_ptr<const SenderFilter> by_name) {
  raise_descriptor_limit();
  const auto context = context_of(settings, std::move(match), std::move(by_name));
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch());
  context->instance = new_ulid(now.count());
  context->gate = std::make_shared<CaptureGate>(settings.capture.sessions, settings.capture.for_ms);
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
  std::vector<std::vector<Fd>> sockets(count);
  for (const ListenerSettings& listener : settings.listeners) {
    const Address address = address_of(listener.address, "listener");
    if (const int error = port_taken(address, listener.accept == Accept::tproxy); error != 0)
      throw std::runtime_error(cannot_listen(listener, address, error));
  }
  for (const ListenerSettings& listener : settings.listeners) {
    Address address = address_of(listener.address, "listener");
    for (uint32_t i = 0; i < count; ++i) {
      const int fd = listen_on(address, listener.accept == Accept::tproxy);
      if (fd < 0) throw std::runtime_error(cannot_listen(listener, address, -fd));
      if (i == 0) {
        address = local_address(fd);  // a port of 0 is now a number, the same for all workers
        addresses_.push_back(shown(endpoint_of(address)));
      }
      sockets[i].emplace_back(fd);
    }
  }
  for (uint32_t i = 0; i < count; ++i)
    workers_.push_back(std::make_unique<Worker>(context_, std::move(sockets[i]), count));
}

Proxy::~Proxy() = default;

/// Tells windows.log that we listen, or no longer do. Readers then know more; nothing depends on it.
void Proxy::log_window(bool begins) {
  if (!instance_ || begins == window_open_) return;
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch());
  const Settings& s = context_->settings;
  const std::error_code error =
      begins ? log_window_begin(s.store.path, {context_->instance, addresses_, s.capture.senders, s.capture.exclude,
                                               s.capture.sessions, s.capture.for_ms, now.count(), now.count()})
             : log_window_end(s.store.path, context_->instance, now.count());
  if (error) spdlog::warn("{}: {}", windows_path(s.store.path), error.message());
  window_open_ = begins;
}

std::vector<SettingsIssue> Proxy::reload(const Settings& settings, CaptureGate::Match match,
                                         std::shared_ptr<const SenderFilter> by_name) {
  ReloadPlan plan = plan_reload(context_->settings, settings);
  const auto context = context_of(plan.settings, std::move(match), std::move(by_name));
  context->instance = context_->instance;
  context->gate = context_->gate;
  context->refusals = context_->refusals;
  context->metrics = context_->metrics;
  const bool new_window = window_open_ && !same_window(plan.settings.capture, context_->settings.capture);
  if (new_window) log_window(false);
  context_ = context;
  if (new_window) {
    context->gate->restart(plan.settings.capture.sessions, plan.settings.capture.for_ms);
    log_window(true);
  }
  for (auto& worker : workers_) worker->reconfigure(context_);
  return std::move(plan.kept);
}

void Proxy::rematch(CaptureGate::Match match, std::shared_ptr<const SenderFilter> by_name) {
  const auto context = std::make_shared<RelayContext>(*context_);
  context->match = std::move(match);
  context->by_name = std::move(by_name);
  context_ = context;
  for (auto& worker : workers_) worker->reconfigure(context_);
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
std::vector<size_t> Proxy::recorder_backlogs() const {
  std::vector<size_t> backlogs;
  for (const auto& worker : workers_) backlogs.push_back(worker->recorder_backlog());
  return backlogs;
}
bool Proxy::done() const {
  return std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker->done(); });
}
void Proxy::join() {
  for (auto& worker : workers_) worker->join();
  log_window(false);
  if (instance_) instance_->finish();
}

}  // namespace smtpscope
