// For commands that ask a running proxy: where it is, and what it means for the exit code.
#pragma once

#include <string>

#include "proxy/commands/commands.h"
#include "proxy/control/control_client.h"

namespace smtpscope {

struct ProxyAnswer {
  ExitCode code = ExitCode::ok;  ///< not ok: there is no answer, and why was said on stderr
  int status = 0;                ///< of HTTP
  std::string body;
};

/// The proxy of this configuration or store, found as find_store() finds a store.
ProxyAnswer ask_running_proxy(const std::string& config_option, const std::string& store_option,
                              const std::string& method, const std::string& path, const std::string& body = {});

/// Says on stderr why the proxy did not do it; gives back `code`.
ExitCode refused(const ProxyAnswer& answer, ExitCode code);

}  // namespace smtpscope
