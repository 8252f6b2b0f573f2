// Judging a refusing reply by its code, then its enhanced code, then the texts that known servers use.
#pragma once

#include <string>
#include <string_view>

#include "capture/diagnosis/rule.h"

namespace smtpscope {

/// Does the reply pass the test? `lower` is its text in lower case, `enhanced` its enhanced code without the class
/// ("1.1"), empty if it has none.
bool reply_matches(const ReplyTest& test, const Event& reply, std::string_view lower, std::string_view enhanced);

/// The first rule of all_rules() that judges this reply; the fallbacks at the end of the tables judge every 4xx and
/// 5xx.
const Rule* judge_reply(const Event& reply);

}  // namespace smtpscope
