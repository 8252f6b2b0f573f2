// What doctor knows of this host: plain values, read by read_facts.cpp and judged by checks.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "capture/session.h"
#include "config/settings.h"
#include "proxy/divert/packet_filter.h"
#include "proxy/probe/probe.h"
#include "proxy/windows/open_windows.h"

namespace smtpscope {

/// How this host would send to an address, and over what.
struct RouteFact {
  std::string to;          ///< the address
  bool gateway = false;    ///< it is the gateway's; else a sender's
  std::string error;       ///< why there is no route; empty: there is one
  std::string dev, via;    ///< via: empty if it is on the link
  bool local = false;      ///< an address of this host
  uint32_t mtu = 0;        ///< of the interface; 0: not known
  uint32_t rp_filter = 0;  ///< in force at the interface: 0 off, 1 strict, 2 loose; IPv4 only
};

struct PortFact {
  std::string what;  ///< "listener" | "control address"
  HostPort at;
  Accept accept = Accept::direct;
  int error = 0;       ///< errno of trying to bind it; 0: it is free
  std::string holder;  ///< program and process id of who has it, where that could be seen
  bool ours = false;   ///< the holder is smtpscope
};

struct StoreFact {
  std::string looked_at;  ///< the store, or the nearest folder above it that exists
  bool exists = false, writable = false;
  std::string error;        ///< why it could not be looked at
  uint32_t mode = 0;        ///< permission bits; of the store itself
  std::string file_system;  ///< "ext4", "tmpfs", ...; a number where it has no name here
  uint64_t free_bytes = 0, total_bytes = 0;
};

struct ClockFact {
  bool synchronised = false;
  int64_t error_us = 0;  ///< estimated; only if synchronised
};

struct NftFact {
  bool tried = false;  ///< nft could be run, with the rights it needs
  bool ok = false;
  std::string output;  ///< what it said where it failed
};

/// What `divert on` would do, or why it would not.
struct DivertFact {
  std::string error;                      ///< why not; empty: it would work
  std::vector<std::string> changes;       ///< of kernel settings, as "NAME = VALUE"
  std::vector<FilterObstacle> obstacles;  ///< packet filters of others that drop, or may drop, what is diverted
  bool nobody = false;                    ///< no senders are named and no window is open: nothing else is known
};

struct ResolverFact {
  std::string asked;  ///< the address whose name was asked for
  ReverseLookUp answer;
  std::string servers{};  ///< who was asked
};

struct ProbeFact {
  Endpoint gateway;
  bool local = false;  ///< an address of this host
  ProbeResult direct;
  std::optional<ProbeResult> proxied;  ///< none: `why_not`
  std::string why_not;
};

struct DoctorFacts {
  Settings settings;
  bool configured = false;  ///< there is a configuration file
  bool root = false;
  std::string kernel;               ///< "6.1.0-18-amd64"
  uint64_t capabilities = 0;        ///< effective, as bits
  uint16_t first_free_port = 1024;  ///< ports from here need no capability
  uint64_t descriptors = 0;         ///< hard limit
  std::vector<std::string> missing_programs;
  NftFact nft;
  std::optional<DivertFact> divert;  ///< none: not asked, see the check
  std::vector<RouteFact> routes;
  uint32_t default_routes = 0;  ///< interfaces that an IPv4 default route leads over
  std::vector<PortFact> ports;
  StoreFact store;
  ClockFact clock;
  std::optional<ResolverFact> resolver;
  std::vector<ProbeFact> probes;
  bool probed = false;  ///< false: --no-probe

  bool has_capability(unsigned bit) const { return (capabilities >> bit & 1U) != 0; }
  /// Is any listener of this kind?
  bool accepts(Accept how) const;
  /// Does it need to speak in the name of senders?
  bool in_senders_name() const { return configured && settings.gateway.present == Present::sender; }
};

struct DoctorOptions {
  bool probe = true;
  uint64_t greeting_timeout_ms = 35'000;
  OpenWindows windows{};  ///< whose senders would be diverted, too
};

/// Looks at this host; changes nothing. Takes up to a minute where the gateway or a name server does not answer.
DoctorFacts read_doctor_facts(const Settings& settings, bool configured, const DoctorOptions& options);

/// Where probes go: the gateway of the configuration, else the single addresses of "destinations", one a family.
std::vector<Endpoint> gateways_of(const Settings& settings);

}  // namespace smtpscope
