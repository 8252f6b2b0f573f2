// Tunnels, as they stand in captures of a router or of a mirrored port: which IP packet is carried inside another.
#pragma once

#include <cstdint>
#include <string_view>

namespace smtpscope {

/// The IP packet in the payload of another whose protocol number is `protocol`; empty if there is none. IP in IP, 6in4,
/// GRE (with IP or Ethernet in it, and ERSPAN's mirrored frames), VXLAN.
std::string_view ip_packet_inside(uint8_t protocol, std::string_view payload);

}  // namespace smtpscope
