// Link layers: where the IP packet stands in a captured frame.
#pragma once

#include <cstdint>
#include <string_view>

namespace smtpscope {

/// The frame from its IP header on (with whatever follows it); empty if it holds none. Ethernet with any number of VLAN
/// tags (802.1Q, 802.1ad), LLC/SNAP, MPLS and PPPoE, Linux cooked 1 and 2, raw IP, BSD null and loop, PPP.
std::string_view ip_packet_of(uint32_t link_type, std::string_view frame);

/// The same of bytes that begin behind this EtherType.
std::string_view ip_packet_behind(unsigned ethertype, std::string_view bytes);

/// Is this one of the link types that ip_packet_of knows?
bool knows_link_type(uint32_t link_type);

}  // namespace smtpscope
