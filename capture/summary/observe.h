// Patterns in the sessions of one sender. Each is an observation with its numbers, no verdict, and is silent where
// there are too few sessions on both sides to mean anything.
#pragma once

#include <vector>

#include "capture/summary/across.h"

namespace smtpscope {

/// So many sessions (messages, recipients) on each side make a pattern.
inline constexpr size_t kEnough = 3;

/// Sessions that one side ended after nearly the same silence: a limit of that side.
void observe_silences(const Digests& sessions, std::vector<Observation>& out);
/// A greeting that comes later and later, or sooner and sooner.
void observe_banners(const Digests& sessions, std::vector<Observation>& out);
/// Greetings that came after the same round delay each time, while the sender's reverse DNS was quick.
void observe_pauses(const Digests& sessions, std::vector<Observation>& out);
/// The same refusal for all recipients, or refusals in one domain only.
void observe_recipients(const Digests& sessions, std::vector<Observation>& out);
/// What the failed sessions have in common and the delivered ones have not: STARTTLS, HELO name, size.
void observe_differences(const Digests& sessions, std::vector<Observation>& out);

/// Are two delays one pause, as timers and networks go?
bool same_pause(int64_t a_us, int64_t b_us);
/// Is it a whole number of seconds, as people set pauses?
bool round_pause(int64_t us);
/// What waits so long: "a pause set by policy", or what else it may be.
std::string pause_cause(int64_t us);

/// Appends the ids of at most kMostExamples sessions, the newest ones, oldest of them first.
void add_examples(Observation& o, const Digests& sessions);

}  // namespace smtpscope
