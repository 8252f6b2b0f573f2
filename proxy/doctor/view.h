// Whom the gateway sees, as far as a short session with it shows. Pure: results of probes in, findings out.
//
// What can be known so: the address that the gateway names as its client's, where it names one (Exim, Sendmail,
// Exchange, OpenSMTPD, Haraka and Google do in their reply to EHLO; Postfix and Cisco do not); whether an address is
// translated on the way; whether a PROXY header is understood. Not to be known: whether replies to a sender's address
// come back through this host. Only a session of a sender shows that.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/settings.h"
#include "proxy/doctor/finding.h"
#include "proxy/probe/probe.h"

namespace smtpscope {

/// The address that a reply to EHLO names as the client's ("250-gw Hello there [192.0.2.1]"), canonical.
std::optional<std::string> client_named(std::string_view reply);

/// How the gateway answered a probe; `gateway` is how to name it.
HostFinding judge_answer(const ProbeResult& probe, const std::string& gateway);

/// Whom it sees, after a probe of the proxy's own (with a PROXY header where `present` says so) that it answered.
/// `may_present`: this process may open connections in a sender's name.
HostFinding judge_view(Present present, const ProbeResult& probe, const std::string& gateway, bool may_present);

/// The same for a gateway on this very host, without asking it.
HostFinding view_of_local(Present present);

/// A direct session and one through the proxy, side by side: greeting, capabilities, the address that each was known
/// by.
HostFinding compare_probes(const ProbeResult& direct, const ProbeResult& proxied);

}  // namespace smtpscope
