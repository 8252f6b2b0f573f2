// Messages of all kinds, whole and right on the wire.
#pragma once

#include <string>

#include "tests/generated/random.h"

namespace smtpscope {

/// A message as DATA sends it: lines in CR LF, beginning dots doubled, no line over 1000 bytes, the final dot line at
/// its end. `eight_bit`: it may hold bytes above 127.
std::string dotted_message(Dice& dice, bool eight_bit);

/// The bytes of one chunk as BDAT sends it: anything, if `binary`; else text, which may look like an end of data or
/// like commands.
/// `eight_bit`: it may hold bytes above 127.
std::string chunk_of_message(Dice& dice, bool binary, bool eight_bit);

/// As many bytes of message lines.
std::string lines_of(uint64_t bytes);

}  // namespace smtpscope
