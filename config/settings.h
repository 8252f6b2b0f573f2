// What the operator says, as plain values with their defaults. options.cpp's table names the keys; the loader fills
// this, everybody else only reads it. Durations are milliseconds, sizes bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace smtpscope {

/// "192.0.2.1:25" or "[2001:db8::1]:25", parsed.
struct HostPort {
  std::string host;  ///< numeric address, IPv6 without brackets
  uint16_t port = 0;
  bool operator==(const HostPort&) const = default;
};

enum class Accept : uint8_t { direct, tproxy, proxy_protocol };
enum class Present : uint8_t { sender, proxy, proxy_v1, proxy_v2 };
enum class BodyPolicy : uint8_t { full, headers, none };
enum class StartTlsMode : uint8_t { pass, intercept, hide };
enum class LogLevel : uint8_t { error, warn, info, debug };

struct ListenerSettings {
  HostPort address;
  Accept accept = Accept::direct;
  std::vector<std::string> trusted;   ///< peers that may send a PROXY header
  uint64_t header_timeout_ms = 3000;  ///< how long a PROXY header may take to arrive; never 0
};

struct GatewaySettings {
  HostPort address;  ///< port 0: not given, connections go on to where they were diverted from
  Present present = Present::proxy;
  bool view_check = true;           ///< at start one session of the proxy's own asks the gateway whom it sees
  uint64_t connect_timeout_ms = 0;  ///< 0: as long as the operating system tries
};

struct CaptureSettings {
  std::vector<std::string> senders{"any"};
  std::vector<std::string> exclude;
  uint64_t sessions = 0;  ///< capture ends after so many; 0: no limit
  uint64_t for_ms = 0;    ///< capture ends after so long; 0: no limit
  BodyPolicy body = BodyPolicy::full;
  uint64_t body_limit = 1024 * 1024;  ///< bytes of each body kept; 0: no limit
};

struct DivertSettings {
  std::vector<std::string> destinations;  ///< empty: the gateway's address, in the other family any
  std::string bridge;                     ///< empty: this host routes
};

struct StoreSettings {
  std::string path = "/var/lib/smtpscope";
  uint64_t max_age_ms = 0;  ///< 0: kept for ever
  uint64_t max_size = 0;    ///< 0: no limit
  bool injection_log = false;
};

struct ControlSettings {
  std::optional<HostPort> listen;
  std::string token_file;
};

struct DnsSettings {
  std::optional<HostPort> resolver;  ///< none: those of the system
  bool look_up = true;               ///< of a sender whose greeting is late
};

struct LogSettings {
  LogLevel level = LogLevel::info;
};

struct Settings {
  std::vector<ListenerSettings> listeners;
  GatewaySettings gateway;
  CaptureSettings capture;
  DivertSettings divert;
  StartTlsMode starttls = StartTlsMode::pass;
  StoreSettings store;
  ControlSettings control;
  DnsSettings dns;
  LogSettings log;
  uint32_t workers = 0;                   ///< 1..64; 0: one a processor, at most 4
  uint64_t drain_ms = 10'000;             ///< how long sessions may go on after SIGTERM
  uint64_t upgrade_drain_ms = 3'600'000;  ///< or when another process has taken over; 0: as long as they last
  std::string user;                       ///< to become when started as root; empty: none
};

}  // namespace smtpscope
