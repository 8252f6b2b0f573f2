// A reply of a server in the field, and the kind of breakdown that it is.
#pragma once

#include <span>
#include <string_view>

#include "capture/smtp/vocabulary.h"

namespace smtpscope {

struct Known {
  std::string_view server, reply;  ///< '\n' stands between the lines of one reply
  Phase phase;                     ///< in which the server says it
  std::string_view code;
};

/// Each reply, played in its phase, is the breakdown of that code, at its first byte.
void check_known(std::span<const Known> table);

}  // namespace smtpscope
