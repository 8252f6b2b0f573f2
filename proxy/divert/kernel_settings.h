// Settings of the kernel (sysctl, and of a bridge) that a diversion needs: which of them have to be changed, and to
// what. Names are as in ChangedSetting.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/result.h"
#include "proxy/divert/host_facts.h"
#include "proxy/divert/intent.h"
#include "proxy/divert/state.h"

namespace smtpscope {

/// Sets the setting of the same name of every interface along with it.
inline constexpr const char* kForwardAllV6 = "net/ipv6/conf/all/forwarding";

using KernelSettings = std::map<std::string, std::string>;

/// All that bear on a diversion, as they are. `bridge` may be empty.
KernelSettings read_kernel_settings(const std::string& bridge);
/// One of them; empty if it is not there (any more).
std::string read_kernel_setting(const std::string& name);

/// What has to be changed, in this order. Pure. The error says why this host cannot divert as it is set.
Result<std::vector<ChangedSetting>> needed_settings(const DivertIntent& intent, const KernelSettings& now,
                                                    const HostFacts& facts);

}  // namespace smtpscope
