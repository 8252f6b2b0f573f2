// What a SYN says of its sender: an IP header and a TCP header without payload, as the kernel keeps them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "capture/session.h"

namespace smtpscope {

/// None if it is no whole IPv4 or IPv6 packet with a TCP header. Options that are malformed end the list.
std::optional<SynFacts> parse_syn(std::span<const uint8_t> packet);

}  // namespace smtpscope
