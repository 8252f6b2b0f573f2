// The nft tables that divert connections to the proxy, as JSON for `nft -j -f -`. Pure.
//
// table inet smtpscope
//   sets capture4, capture6   the senders; their elements end with the window
//   sets gateway4, gateway6   where their connections go to, if that is limited
//   chain divert              prerouting, behind dstnat: what belongs to a session of the proxy, and the SYN of a
//   sender
//                             that begins one, gets the mark. A SYN only if somebody listens (tproxy comes before
//                             mark).
//   chains zone_in, zone_out  only where connections are tracked: the proxy's own connections to the gateway have the
//                             addresses and ports of the sender's, and are tracked apart
//   chain forward             only where this host did not forward before: mail may pass, everything else still not
// table bridge smtpscope      only on a bridge: marked packets are taken out of it, up to this host
//
// Only a SYN is ever diverted for its address: sessions that began before, on either way, keep to it to their end,
// whatever becomes of the sets.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "proxy/divert/intent.h"
#include "proxy/divert/state.h"

namespace smtpscope {

/// Replaces our tables by new ones, all or nothing. `bridge_mac` is the bridge's address, as in "02:00:00:00:00:01".
std::string divert_ruleset(const DivertIntent& intent, const DivertState& state, const std::string& bridge_mac);

/// Removes our tables; no fault if there are none.
std::string remove_ruleset(bool bridged);

/// Empties the sets of senders: new connections go straight to the gateway, sessions in progress go on.
/// `sets`: which of them there are. `for_good`: and change_senders_ruleset() does nothing any more.
std::string empty_senders_ruleset(const std::array<bool, 2>& sets, bool for_good);

/// Puts the intent's senders in place of those that are there, all or nothing, into those sets that there are.
std::string change_senders_ruleset(const DivertIntent& intent, const std::array<bool, 2>& sets);

}  // namespace smtpscope
