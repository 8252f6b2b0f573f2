// Where the kernel diverts senders to the proxy, a window that was opened or closed changes whom.
#pragma once

#include <string>

namespace smtpscope {

/// Brings the kernel's set of senders up to the windows that the proxy has open now, if this configuration has
/// listeners for diverted connections, a diversion is on and this process may; else says on stderr what to run. Nothing
/// without such listeners.
void divert_follows_windows(const std::string& config_option, const std::string& store_option);

}  // namespace smtpscope
