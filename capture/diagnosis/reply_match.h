// Judging a refusing reply by its code, then its enhanced code, then the texts that known servers use.
#pragma once

#include <string>
#include <string_view>

#include "capture/diagnosis/rule.h"

namespace smtpscope {

/// The text as rules compare it: one line, lower case, without the codes that begin its further lines and without the
/// mail addresses, whose names say nothing (<spam@gw.example>).
std::string judged_words(std::string_view text);
/// Do judged_words() contain any of these texts: lower case, '|' between them?
bool says_any(std::string_view words, std::string_view texts);

/// The first rule of all_rules() that judges this one of view.refusals; the fallbacks at the end of the tables judge
/// every 4xx and 5xx. NOOP, VRFY, an unknown word and the like are judged as commands between messages: their refusal
/// says nothing of the EHLO, the recipient or the DATA around them.
const Rule* judge_refusal(const View& view, int32_t refusal);

}  // namespace smtpscope
