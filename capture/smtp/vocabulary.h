// The words that every part of smtpscope uses for an SMTP session, with the spelling that the transcript gives them.
// They are the contract of DESIGN 7: never rename a spelling.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace smtpscope {

enum class From : uint8_t { sender, gateway, proxy };

/// Where in the session something happened. `tls` is a handshake or what is hidden behind it.
enum class Phase : uint8_t {
  connect,
  banner,
  helo,
  starttls,
  tls,
  auth,
  mail,
  rcpt,
  data,
  body,
  end_of_data,
  quit,
  idle
};

/// Who broke it. `policy`: the gateway decided so by its rules.
enum class Party : uint8_t { sender, gateway, network, dns, policy, proxy, unknown };

enum class Confidence : uint8_t { certain, likely, possible };

/// How one side ended its stream. `timeout`: the kernel gave up (keep-alive or retransmission), nothing came on the
/// wire.
enum class CloseHow : uint8_t { fin, rst, timeout };

enum class Verdict : uint8_t { delivered, breakdown, no_mail, unknown };

std::string_view name(From);
std::string_view name(Phase);
std::string_view name(Party);
std::string_view name(Confidence);
std::string_view name(CloseHow);
std::string_view name(Verdict);

/// The value with this spelling ("end-of-data", "no-mail", ...), none if there is no such.
std::optional<From> from_of(std::string_view);
std::optional<Phase> phase_of(std::string_view);
std::optional<Party> party_of(std::string_view);
std::optional<Confidence> confidence_of(std::string_view);
std::optional<CloseHow> close_how_of(std::string_view);
std::optional<Verdict> verdict_of(std::string_view);

/// The other end of the conversation; the proxy has none and stays itself.
constexpr From peer_of(From from) {
  return from == From::sender ? From::gateway : from == From::gateway ? From::sender : From::proxy;
}

}  // namespace smtpscope
