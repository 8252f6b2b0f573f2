// Summaries as text for a person and as JSON for a program.
#pragma once

#include <string>

#include "capture/summary/summary.h"
#include "capture/transcript/text_view.h"

namespace smtpscope {

/// One sender's section, each line ended by '\n', at most options.width columns. Whatever the sessions held, the result
/// is printable (harmless.h).
std::string summary_text(const SenderSummary& sender, const TextOptions& options);

/// Sentences under a head, as a sender's section looks; empty ones are left out.
std::string notice_text(const std::string& head, const std::vector<std::string>& sentences, const TextOptions& options);

/// One JSON object without a line end: docs/summary.schema.json.
std::string summary_json(const SenderSummary& sender);

/// One sentence on what became of it: "<a@b> to <c@d>: put off (450) at ..., delivered after 15 min at the 2nd try".
std::string sentence(const Retry& retry);
std::string sentence(const Duplicate& duplicate);

}  // namespace smtpscope
