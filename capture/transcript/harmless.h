// The one place where text that somebody else chose becomes fit for a terminal. Every byte of a recording, a log or a
// file name that is printed goes through here: control characters (C0, C1, DEL), bytes that are no UTF-8, bidirectional
// overrides and all other characters that are invisible or not for interchange are spelled out, so nothing can move the
// cursor, change a colour, reorder a line, or hide.
//
// A byte is spelled \xNN, as in lossless text; a character \u{202e}. A backslash stays as it is: lossless text has
// doubled it already.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace smtpscope {

/// `text` as printable characters of one line; '\n' too is spelled out (\x0a).
std::string harmless(std::string_view text);

/// Columns that harmless text takes on a terminal.
size_t display_width(std::string_view harmless_text);

/// Harmless text cut to `columns`, ending in "..." if something was cut.
std::string fit(std::string_view harmless_text, size_t columns);

/// Harmless text as lines of at most `first` columns (the first) and `rest` columns (the others), both taken as at
/// least 12. Breaks at blanks where that leaves no line half empty, and never inside a character or an escape.
std::vector<std::string> wrap(std::string_view harmless_text, size_t first, size_t rest);

}  // namespace smtpscope
