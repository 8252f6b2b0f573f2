// How a session came out, before anybody asks why (DESIGN 7).
#pragma once

#include <string>

#include "capture/diagnosis/view.h"

namespace smtpscope {

/// Fills in view.verdict. For unknown and no-mail, gives the reason as a sentence; else empty.
std::string decide_verdict(View& view);

/// Was this event, found before any message or belonging to one, made good later or without harm? Only an event that
/// was not can be the breakdown.
bool harmless(const View& view, int32_t event);

}  // namespace smtpscope
