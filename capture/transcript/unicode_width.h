#pragma once

namespace smtpscope {

/// Columns that a printable code point takes on a terminal: 0 for combining marks, 2 for wide East Asian characters and
/// emoji, else 1.
int columns_of(char32_t code_point);

}  // namespace smtpscope
