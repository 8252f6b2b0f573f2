// What the network answers to an attempt to connect: the errno alone cannot tell a host without a route from a firewall
// that says no, the ICMP message can, and names who sent it.
#pragma once

#include "capture/session.h"

namespace smtpscope {

/// Before connect(): the kernel keeps the ICMP message that ends the attempt. After it: no longer, since an established
/// connection that heard them would break at errors that pass.
void hear_icmp(int fd, bool v6, bool on);
/// The message that ended the attempt; `from` is empty if none did.
IcmpError icmp_error_of(int fd);

}  // namespace smtpscope
