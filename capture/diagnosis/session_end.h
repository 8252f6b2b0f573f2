// How a session ended that was not over, outside of messages, greeting and TLS: those have rules of their own.
#pragma once

#include <string>

#include "capture/diagnosis/view.h"

namespace smtpscope {

/// The session was cut short between commands, or while a reply other than the banner's or the message's was owed, and
/// no refusal explains it.
bool ordinary_end(const View& view);
/// The phase in which something was missing. Only for a session that was closed.
Phase missing_phase(const View& view);
/// "the gateway owed the reply to RCPT", to go behind "while".
std::string owed_text(const View& view);

}  // namespace smtpscope
