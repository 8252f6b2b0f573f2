#include "capture/smtp/vocabulary.h"

#include <array>

namespace smtpscope {
namespace {

constexpr std::array<std::string_view, 3> kFrom{"sender", "gateway", "proxy"};
constexpr std::array<std::string_view, 13> kPhase{"connect", "banner", "helo", "starttls",    "tls",  "auth", "mail",
                                                  "rcpt",    "data",   "body", "end-of-data", "quit", "idle"};
constexpr std::array<std::string_view, 7> kParty{"sender", "gateway", "network", "dns", "policy", "proxy", "unknown"};
constexpr std::array<std::string_view, 3> kConfidence{"certain", "likely", "possible"};
constexpr std::array<std::string_view, 3> kCloseHow{"fin", "rst", "timeout"};
constexpr std::array<std::string_view, 4> kVerdict{"delivered", "breakdown", "no-mail", "unknown"};

template <class Enum, size_t N>
std::optional<Enum> find(const std::array<std::string_view, N>& names, std::string_view text) {
  for (size_t i = 0; i < N; ++i)
    if (names[i] == text) return static_cast<Enum>(i);
  return std::nullopt;
}

}  // namespace

std::string_view name(From v) { return kFrom[static_cast<size_t>(v)]; }
std::string_view name(Phase v) { return kPhase[static_cast<size_t>(v)]; }
std::string_view name(Party v) { return kParty[static_cast<size_t>(v)]; }
std::string_view name(Confidence v) { return kConfidence[static_cast<size_t>(v)]; }
std::string_view name(CloseHow v) { return kCloseHow[static_cast<size_t>(v)]; }
std::string_view name(Verdict v) { return kVerdict[static_cast<size_t>(v)]; }

std::optional<From> from_of(std::string_view text) { return find<From>(kFrom, text); }
std::optional<Phase> phase_of(std::string_view text) { return find<Phase>(kPhase, text); }
std::optional<Party> party_of(std::string_view text) { return find<Party>(kParty, text); }
std::optional<Confidence> confidence_of(std::string_view text) { return find<Confidence>(kConfidence, text); }
std::optional<CloseHow> close_how_of(std::string_view text) { return find<CloseHow>(kCloseHow, text); }
std::optional<Verdict> verdict_of(std::string_view text) { return find<Verdict>(kVerdict, text); }

}  // namespace smtpscope
