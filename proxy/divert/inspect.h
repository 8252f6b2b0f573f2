// Reads what is set up on this host, with ip, nft and iptables-save. Changes nothing.
#pragma once

#include "config/result.h"
#include "proxy/divert/host_facts.h"
#include "proxy/divert/plan.h"

namespace smtpscope {

/// The error is a sentence: which program is missing or failed.
Result<HostFacts> inspect_host();
Result<HostNow> inspect_host(const DivertState& state);
/// The facts, and the settings of this record as they are now.
HostNow with_settings(HostFacts facts, const DivertState& state);

/// The address of an interface, "02:00:00:00:00:01"; empty if there is none of this name.
std::string mac_of(const std::string& interface);

}  // namespace smtpscope
