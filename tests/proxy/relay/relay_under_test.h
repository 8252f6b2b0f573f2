// A relay on a free port of loopback with a store of its own, for tests.
#pragma once

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "capture/store/recording_sessions.h"
#include "capture/transcript/json_writer.h"
#include "proxy/relay/proxy.h"
#include "tests/proxy/relay/peers.h"

namespace smtpscope::test {

struct RelayOptions {
  bool v6 = false;
  uint32_t workers = 1;
  uint64_t drain_ms = 0;
  bool capture = true;
  Present present = Present::proxy;
  uint64_t connect_timeout_ms = 0;
  std::vector<std::string> trusted{};  ///< not empty: the listener awaits a PROXY header from these
  uint64_t header_timeout_ms = 3000;
};

class RelayUnderTest {
 public:
  explicit RelayUnderTest(uint16_t gateway_port, RelayOptions options = {}) : store_(fresh_store()) {
    spdlog::set_level(spdlog::level::err);
    const std::string host = options.v6 ? "::1" : "127.0.0.1";
    Settings settings;
    ListenerSettings& listener = settings.listeners.emplace_back();
    listener.address.host = host;
    if (!options.trusted.empty()) listener.accept = Accept::proxy_protocol;
    listener.trusted = options.trusted;
    listener.header_timeout_ms = options.header_timeout_ms;
    settings.gateway.address = {host, gateway_port};
    settings.gateway.present = options.present;
    settings.gateway.connect_timeout_ms = options.connect_timeout_ms;
    settings.store.path = store_.string();
    settings.workers = options.workers;
    const bool capture = options.capture;
    proxy_ = std::make_unique<Proxy>(settings,
                                     std::make_shared<const SenderFilter>(*SenderFilter::build(
                                         capture ? std::vector<std::string>{"any"} : std::vector<std::string>{}, {})));
    const std::string& address = proxy_->addresses().front();
    port_ = static_cast<uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
    drain_ms_ = options.drain_ms;
    proxy_->start();
  }
  ~RelayUnderTest() {
    stop();
    std::error_code ignored;
    std::filesystem::remove_all(store_, ignored);
  }

  uint16_t port() const { return port_; }
  Peer connect(bool v6 = false, int receive_buffer = 0) const { return Peer::connect(port_, v6, receive_buffer); }
  uint64_t refused(HeaderRefusals::Why why) const { return proxy_->refused(why); }
  /// What SIGTERM does: lets sessions finish for drain_ms, then ends what is left.
  void stop() {
    if (!proxy_) return;
    proxy_->drain();
    for (uint64_t waited = 0; waited < drain_ms_ && !proxy_->done(); waited += 5)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    proxy_->end_now("drain");
    proxy_->join();
    proxy_.reset();
  }
  /// Names of the regular files in the store.
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    if (std::filesystem::exists(store_))
      for (const auto& entry : std::filesystem::recursive_directory_iterator(store_))
        if (entry.is_regular_file()) out.push_back(entry.path().string());
    return out;
  }
  /// Those of all sessions that have ended, one at a time; call after stop().
  template <class Visit>
  void each_transcript(Visit visit) const {
    for (const std::string& name : files()) {
      if (!name.ends_with(".jsonl")) continue;
      std::ifstream in(name);
      for (std::string line; std::getline(in, line);) visit(nlohmann::json::parse(line));
    }
  }
  /// The same, made from the recordings anew.
  template <class Visit>
  void each_analyzed(Visit visit) const {
    for (const std::string& name : files()) {
      if (!name.ends_with(".pcapng")) continue;
      std::ifstream in(name, std::ios::binary);
      const std::string bytes(std::istreambuf_iterator<char>(in), {});
      read_sessions(
          bytes, name, [](const SessionFacts&) { return true; },
          [&](Transcript&& transcript) {
            std::string line;
            append_json(line, transcript);
            visit(nlohmann::json::parse(line));
          });
    }
  }
  std::vector<nlohmann::json> transcripts() const {
    std::vector<nlohmann::json> out;
    each_transcript([&](nlohmann::json&& transcript) { out.push_back(std::move(transcript)); });
    return out;
  }

 private:
  static std::filesystem::path fresh_store() {
    std::string name = (std::filesystem::temp_directory_path() / "smtpscope-relay.XXXXXX").string();
    check(mkdtemp(name.data()) != nullptr, "mkdtemp");
    return name;
  }

  std::filesystem::path store_;
  std::unique_ptr<Proxy> proxy_;
  uint16_t port_ = 0;
  uint64_t drain_ms_ = 0;
};

}  // namespace smtpscope::test
