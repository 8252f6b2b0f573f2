// What the running proxy may do on this host: no more than its settings need. Once done it cannot be undone, and holds
// for all threads and programs that are started later.
#pragma once

#include <string>

#include "config/settings.h"

namespace smtpscope {

/// Before any thread is started. Becomes settings.user, if that is set; gives up all capabilities but those that the
/// settings need, and the ways to new ones (no_new_privs, the bounding set); forbids core dumps, and looking into the
/// memory by others of the same user, since mail is in it. What stays is kept also by a program that is run for an
/// upgrade. Empty, or why it cannot become that user or cannot use the store then: a sentence for the operator.
std::string drop_privileges(const Settings& settings);

/// "CAP_NET_ADMIN" if these settings need it to show the gateway the sender's address and this process has it not;
/// else empty.
std::string missing_privilege(const Settings& settings);

}  // namespace smtpscope
