#include "proxy/demo/stage.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "config/settings.h"
#include "proxy/clock.h"
#include "proxy/demo/peers.h"
#include "proxy/relay/proxy.h"

namespace smtpscope {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kSessionLimit{15};  // the longest story takes half of it
constexpr std::chrono::seconds kDrainLimit{3};

Address loopback(const std::string& ip, uint16_t port = 0) {
  if (const auto address = make_address(ip, port)) return *address;
  throw std::logic_error(ip + " is no address");
}

/// Starts the proxy, and ends it and waits for its recordings whatever happens meanwhile.
class Running {
 public:
  explicit Running(Proxy& proxy) : proxy_(proxy) { proxy_.start(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    proxy_.drain();
    const auto limit = Clock::now() + kDrainLimit;
    while (!proxy_.done() && Clock::now() < limit) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (!proxy_.done()) proxy_.end_now("demo");
    proxy_.join();
  }

 private:
  Proxy& proxy_;
};

Settings settings_for(const std::string& store, uint16_t gateway_port) {
  Settings settings;
  settings.listeners.push_back({{"127.0.0.1", 0}, Accept::direct, {}});
  settings.gateway.address = {"127.0.0.1", gateway_port};
  settings.store.path = store;
  return settings;
}

void play_one(Staged& staged, Ends ends, const Patience& patience) {
  try {
    play(staged.story->script, std::move(ends), patience);
  } catch (const std::exception& e) {
    staged.error = e.what();
  }
}

}  // namespace

Performance perform(std::span<const Story> stories, const std::string& store, int stop) {
  const int listening = listen_on(loopback("127.0.0.1"));
  if (listening < 0)
    throw std::runtime_error(
        fmt::format("the demo's gateway cannot listen on 127.0.0.1: {}", std::strerror(-listening)));
  const Fd listener(listening);
  Performance performance;
  performance.began_us = unix_us();
  for (const Story& story : stories) performance.sessions.push_back({.story = &story});

  Proxy proxy(settings_for(store, endpoint_of(local_address(listener.get())).port),
              std::make_shared<const SenderFilter>(*SenderFilter::build({"any"}, {})));
  const std::string& at = proxy.addresses().front();
  const auto port = static_cast<uint16_t>(std::stoul(at.substr(at.rfind(':') + 1)));
  const Patience patience{stop, Clock::now() + kSessionLimit};
  {
    const Running running(proxy);
    std::vector<std::jthread> players;  // joined before the proxy is ended
    for (size_t n = 0; n < performance.sessions.size(); ++n) {
      Staged& staged = performance.sessions[n];
      staged.sender.ip = fmt::format("127.0.1.{}", n + 1);
      try {
        Ends ends = connect_through(loopback("127.0.0.1", port), loopback(staged.sender.ip), listener.get(), patience);
        staged.sender = ends.sender_address;
        players.emplace_back([&staged, &patience](Ends mine) { play_one(staged, std::move(mine), patience); },
                             std::move(ends));
      } catch (const std::exception& e) {
        staged.error = e.what();  // the next ones would take this one's connection for theirs
        break;
      }
    }
    for (std::jthread& player : players) player.join();
  }
  for (Staged& staged : performance.sessions) {
    performance.interrupted = performance.interrupted || staged.error == Interrupted().what();
    if (staged.sender.port == 0 && staged.error.empty()) staged.error = "it was not begun";
  }
  return performance;
}

}  // namespace smtpscope
