// Which program holds a port, of what `ss -p` lists. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace smtpscope {

/// "master (pid 12)": of the processes that have the socket open the one that the others descend from, since it opened
/// it and is the one to stop (Postfix's smtpd has it from master). Empty if ss names none. `parent_of` a pid; 0: not
/// known.
std::string port_holder(std::string_view ss, const std::function<long(long)>& parent_of);

}  // namespace smtpscope
