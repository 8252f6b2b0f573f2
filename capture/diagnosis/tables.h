// The tables of rules, one a phase. catalogue.cpp puts them in order.
#pragma once

#include <span>

#include "capture/diagnosis/rule.h"

namespace smtpscope {

std::span<const Rule> rules_connect();
std::span<const Rule> rules_banner();
std::span<const Rule> rules_session();  ///< 421, limits and order, in any phase
std::span<const Rule> rules_policy();   ///< reputation, SPF, greylisting, ... in any phase
std::span<const Rule> rules_helo();
std::span<const Rule> rules_starttls();
std::span<const Rule> rules_tls();  ///< the handshake
std::span<const Rule> rules_auth();
std::span<const Rule> rules_mail();
std::span<const Rule> rules_rcpt();
std::span<const Rule> rules_protocol();  ///< bytes and orders of bytes that the protocol does not allow
std::span<const Rule> rules_time();      ///< slow replies, stalls, and connections that were forgotten
std::span<const Rule> rules_data();
std::span<const Rule> rules_end();       ///< how the session ended
std::span<const Rule> rules_fallback();  ///< last: every refusal that nothing else knows

}  // namespace smtpscope
