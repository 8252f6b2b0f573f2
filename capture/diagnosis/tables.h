// The tables of rules, one a phase or a topic. catalogue.cpp puts them in order.
#pragma once

#include <span>

#include "capture/diagnosis/rule.h"

namespace smtpscope {

// Phases in which what a reply says counts more than when it is said.
inline constexpr uint32_t kEnvelope = in(Phase::helo) | in(Phase::mail) | in(Phase::rcpt) | in(Phase::data);
inline constexpr uint32_t kContent = in(Phase::data) | in(Phase::body) | in(Phase::end_of_data);
inline constexpr uint32_t kCommands = kEnvelope | kContent | in(Phase::idle);

std::span<const Rule> rules_connect();
std::span<const Rule> rules_proxy_header();  ///< between us and the gateway
std::span<const Rule> rules_look_up();       ///< the proxy's own reverse look-up
std::span<const Rule> rules_delay();         ///< greetings and replies that came late, by what their delay looks like
std::span<const Rule> rules_path();          ///< the state of the TCP legs
std::span<const Rule> rules_banner();
std::span<const Rule> rules_policy();   ///< what the gateway asks of a sender first: login, TLS, rights, patience
std::span<const Rule> rules_host();     ///< the sender's host: its HELO name, its reverse DNS, block lists
std::span<const Rule> rules_domain();   ///< the sender's domain: DNS, SPF, DKIM, DMARC
std::span<const Rule> rules_limits();   ///< rates and sizes
std::span<const Rule> rules_server();   ///< the gateway's own trouble
std::span<const Rule> rules_session();  ///< 421, errors counted, and order, in any phase
std::span<const Rule> rules_refused_banner();  ///< any other refusing greeting
std::span<const Rule> rules_helo();
std::span<const Rule> rules_starttls();
std::span<const Rule> rules_tls();  ///< the handshake
std::span<const Rule> rules_auth();
std::span<const Rule> rules_mail();
std::span<const Rule> rules_rcpt();
std::span<const Rule> rules_content();        ///< what the gateway says of the message itself
std::span<const Rule> rules_protocol();       ///< commands and replies that the protocol does not allow there
std::span<const Rule> rules_chunks();         ///< BDAT
std::span<const Rule> rules_message_bytes();  ///< bytes of messages that it does not allow
std::span<const Rule> rules_time();           ///< slow replies, stalls, and connections that were forgotten
std::span<const Rule> rules_data();
std::span<const Rule> rules_end();       ///< how the session ended
std::span<const Rule> rules_fallback();  ///< last: every refusal that nothing else knows

}  // namespace smtpscope
