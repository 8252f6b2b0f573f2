// What `smtpscope divert` is to ask of the kernel, worked out from the settings alone: whose connections, to where, to
// which listener, for how long. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
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
  std::string listen_ip;     ///< of the listener; empty: all addresses of this host
  uint16_t listen_port = 0;  ///< 0: there is no such listener, and nothing of this family is diverted
  AddressRanges senders;     ///< disjoint, ascending; exclusions are taken out
  /// Of each of `senders`, how long the kernel keeps it, seconds; 0: for ever. Empty: DivertIntent::for_s holds for
  /// all.
  std::vector<uint64_t> senders_for_s{};
  AddressRanges destinations;  ///< empty: any

  uint64_t kept_for_s(size_t sender, uint64_t otherwise) const {
    return sender < senders_for_s.size() ? senders_for_s[sender] : otherwise;
  }
  bool on() const { return listen_port != 0 && !senders.empty(); }
  const char* suffix() const { return v6 ? "6" : "4"; }
};

struct DivertIntent {
  std::array<DivertFamily, 2> families;  ///< IPv4, IPv6
  uint16_t port = 25;                    ///< that senders dial
  uint64_t for_s = 0;                    ///< the kernel forgets the senders after so long; 0: never
  std::string bridge;                    ///< empty: this host routes
};

/// Addresses, and how long they are to be diverted, seconds; 0: for ever.
struct DivertStretch {
  SenderFilter::Range range;
  uint64_t for_s = 0;
};
/// Gives the family these senders, made disjoint: each address is kept for as long as the longest of those that cover
/// it.
void put_senders(const std::vector<DivertStretch>& stretches, DivertFamily& family);

struct DivertPlanning {
  DivertIntent intent;
  std::vector<SettingsIssue> faults;  ///< then `intent` must not be used
  std::vector<SettingsIssue> warnings;
  bool nobody = false;  ///< the one fault: there is nobody to divert now
};

/// A debug window that is open besides the configuration's own.
struct DivertWindow {
  std::vector<std::string> senders, exclude;
  uint64_t left_s = 0;  ///< of its time; 0: it has no end
};

/// `names`: what DNS says of those among the senders. One that is not there is left out, with a warning; in the
/// configuration's `exclude` it is a fault, as whom it means would be diverted; a window with one diverts nobody.
/// `config_left_s`: what is left of the configuration's own window, if it does not begin anew now; 0: it has no end.
DivertPlanning plan_divert(const Settings& settings, const ResolvedNames& names = {},
                           const std::vector<DivertWindow>& windows = {},
                           std::optional<uint64_t> config_left_s = std::nullopt);

/// Neighbours as one.
AddressRanges joined(const AddressRanges& ranges);

/// "10.2.3.0-10.2.3.255, 10.2.9.9": for people and for the record.
std::string ranges_text(const AddressRanges& ranges);

}  // namespace smtpscope
