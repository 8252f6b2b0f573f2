// What the length of a delay hints at. A single delay proves nothing: these are sentences for a `why`, worded as hints.
#pragma once

#include <string>

#include "capture/diagnosis/view.h"

namespace smtpscope {

/// " 10.0 s is a multiple of 5 s, after which resolvers ask again: ..." if the delay looks so, else "".
std::string like_a_resolver(const View& view, int64_t delay_us);
/// The same, or that it is as round as a pause by policy, if it is; else "".
std::string like_a_pause(const View& view, int64_t delay_us);
/// " The sender's reverse DNS is not the cause: ..." if the proxy's own look-up says so, or that there was no name
/// server to ask; else "".
std::string what_look_up_rules_out(const View& view);

}  // namespace smtpscope
