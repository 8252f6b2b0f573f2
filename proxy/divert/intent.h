// What `smtpscope divert` is to ask of the kernel, worked out from the settings alone: whose connections, to where, to
// which listener, for how long. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "config/checks.h"
#include "config/sender_filter.h"
#include "config/settings.h"

namespace smtpscope {

using AddressRanges = std::vector<SenderFilter::Range>;

/// What is diverted of IPv4, or of IPv6.
struct DivertFamily {
  bool v6 = false;
  std::string listen_ip;       ///< of the listener; empty: all addresses of this host
  uint16_t listen_port = 0;    ///< 0: there is no such listener, and nothing of this family is diverted
  AddressRanges senders;       ///< disjoint, ascending; exclusions are taken out
  AddressRanges destinations;  ///< empty: any

  bool on() const { return listen_port != 0 && !senders.empty(); }
  const char* suffix() const { return v6 ? "6" : "4"; }
};

struct DivertIntent {
  std::array<DivertFamily, 2> families;  ///< IPv4, IPv6
  uint16_t port = 25;                    ///< that senders dial
  uint64_t for_s = 0;                    ///< the kernel forgets the senders after so long; 0: never
  std::string bridge;                    ///< empty: this host routes
};

struct DivertPlanning {
  DivertIntent intent;
  std::vector<SettingsIssue> faults;  ///< then `intent` must not be used
  std::vector<SettingsIssue> warnings;
};

/// `names`: what DNS says of those among the senders. One that is not there is left out, with a warning; in `exclude`
/// it is a fault, as whom it means would be diverted.
DivertPlanning plan_divert(const Settings& settings, const ResolvedNames& names = {});

/// "10.2.3.0-10.2.3.255, 10.2.9.9": for people and for the record.
std::string ranges_text(const AddressRanges& ranges);

}  // namespace smtpscope
