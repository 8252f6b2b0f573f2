// All rules in order, and their words as a document.
#pragma once

#include <string>
#include <string_view>

#include "capture/diagnosis/rule.h"

namespace smtpscope {

/// docs/DIAGNOSES.md: every kind of breakdown and note, with its words.
std::string diagnoses_markdown();

/// One entry as `smtpscope explain CODE` prints it, lines of at most `width` columns.
std::string explain_rule(const Rule& rule, size_t width = 100);

/// The code that is most like `text`; empty if none is.
std::string_view nearest_code(std::string_view text);

}  // namespace smtpscope
