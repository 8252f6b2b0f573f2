// What an operating system's error is called, for people who do not know its name by heart.
#pragma once

#include <string>
#include <string_view>

namespace smtpscope {

/// "connection refused (ECONNREFUSED)"; a name that is none of those that a connection meets comes back as it is.
std::string error_words(std::string_view errno_name);

}  // namespace smtpscope
