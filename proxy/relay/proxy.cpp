#include "proxy/relay/proxy.h"

#include <fmt/format.h>
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

std::string cannot_listen(const ListenerSettings& listener, const Address& address, int error) {
  const char* hint = error == EADDRINUSE ? " (ss -ltnp shows by whom)"
                     : error == EPERM && listener.accept == Accept::tproxy
                         ? " (\"accept\": \"tproxy\" needs root or CAP_NET_ADMIN)"
                         : "";
  return fmt::format("cannot listen on {}: {}{}", shown(endpoint_of(address)), std::strerror(error), hint);
}

}  // namespace

Proxy::Proxy(const Settings& settings, CaptureGate::Match match) : context_(std::make_shared<RelayContext>()) {
  raise_descriptor_limit();
  context_->settings = settings;
  if (settings.gateway.address.port != 0) context_->gateway = address_of(settings.gateway.address, "gateway");
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch());
  context_->instance = new_ulid(now.count());
  context_->gate = std::make_shared<CaptureGate>(std::move(match), settings.capture.sessions, settings.capture.for_ms);
  try {
    instance_ = std::make_unique<Instance>(settings.store.path, context_->instance);
  } catch (const std::exception& e) {
    spdlog::error("{}; sessions pass, but may not be recorded", e.what());
  }
  const RecoveryReport recovered = recover(settings.store.path, context_->instance);
  for (const std::string& problem : recovered.problems) spdlog::warn("recovery: {}", problem);
  const uint32_t count = std::max<uint32_t>(1, settings.workers);
  std::vector<std::vector<ListeningSocket>> sockets(count);
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
      sockets[i].push_back({Fd(fd), listener.accept});
    }
  }
  for (uint32_t i = 0; i < count; ++i) workers_.push_back(std::make_unique<Worker>(context_, std::move(sockets[i])));
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

void Proxy::start() {
  log_window(true);
  for (auto& worker : workers_) worker->start();
}
void Proxy::drain() {
  log_window(false);
  for (auto& worker : workers_) worker->drain();
}
void Proxy::end_now(const char* cause) {
  for (auto& worker : workers_) worker->end_now(cause);
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
