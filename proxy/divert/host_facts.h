// What is set up in the kernel of this host (its network namespace), as far as a diversion has to know: what others
// use, and what is left or missing of ours. Read from what `ip -N -j` and `nft -j` print. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "config/result.h"
#include "config/sender_filter.h"
#include "proxy/divert/packet_filter.h"
#include "proxy/divert/state.h"

namespace smtpscope {

inline constexpr const char* kDivertTable = "smtpscope";  ///< the name of our nft tables

/// What the programs printed, and the settings of the kernel.
struct HostListing {
  std::array<std::string, 2> rules;   ///< ip -N -j rule show, IPv4 and IPv6
  std::array<std::string, 2> routes;  ///< ip -N -j route show table all
  std::string ruleset;                ///< nft -j list ruleset
  std::string iptables;               ///< iptables-save and ip6tables-save, where there are any
  uint64_t tracked = 0;               ///< connections that the kernel tracks now
};

struct PolicyRule {
  uint32_t priority = 0, mark = 0, mask = 0, table = 0;
  bool operator==(const PolicyRule&) const = default;
};

/// What is in a set of ours.
struct SenderElement {
  SenderFilter::Range range;
  uint64_t left_s = 0;  ///< until the kernel forgets it; 0: never
};

struct HostFacts {
  std::array<std::vector<PolicyRule>, 2> rules;    ///< IPv4, IPv6
  std::array<std::set<uint32_t>, 2> route_tables;  ///< that hold routes
  std::array<std::set<uint32_t>, 2> all_local;     ///< tables in which a default route makes everything local
  uint32_t mark_bits = 0;                          ///< that rules or packet filters of others look at or set
  std::set<uint16_t> zones;                        ///< of connection tracking, that others use
  bool default_route_announced = false;            ///< by an IPv6 router; the kernel forgets it when it becomes one
  bool tracks = false;                             ///< connections are tracked here
  std::array<bool, 2> has_senders_set{};           ///< ours, IPv4 and IPv6
  bool has_inet_table = false, has_bridge_table = false;  ///< of our name
  /// Our tables as listed, without handles and elements; empty if there is none.
  std::string our_listing;
  std::array<std::vector<SenderElement>, 2> senders;  ///< in our sets, IPv4 and IPv6
  uint64_t senders_in_force = 0;                      ///< how many they are
  bool senders_expire = false;                        ///< do they all?
  uint64_t senders_expire_in_s = 0;                   ///< the last of them
  FilterListing filters;                              ///< of everybody

  bool has_rule(size_t family, const DivertNumbers& numbers) const;
  bool has_route(size_t family, const DivertNumbers& numbers) const {
    return all_local[family].contains(numbers.table);
  }
};

/// The error says which listing could not be understood.
Result<HostFacts> read_host_facts(const HostListing& listing);

/// Numbers that nobody uses; the error says of what there is none left.
Result<DivertNumbers> free_numbers(const HostFacts& facts);

}  // namespace smtpscope
