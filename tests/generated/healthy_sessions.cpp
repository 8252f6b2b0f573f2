// Plays healthy sessions, each another, through the engine: not one may be called broken, or be given a note that does
// not belong there. Session number N of a seed is always the same; what fails is printed as a script with its number.
//
//   healthy_sessions [SESSIONS] [SEED] [FIRST]     "healthy_sessions 1 1 4711" plays number 4711 of seed 1 alone
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <string>

#include "tests/generated/plan_maker.h"
#include "tests/generated/player.h"

using namespace smtpscope;

namespace {

constexpr uint64_t kShown = 5;  // failures printed in full

uint64_t number(int argc, char** argv, int index, uint64_t otherwise) {
  return argc > index ? std::strtoull(argv[index], nullptr, 10) : otherwise;
}

Dice dice_of(uint64_t seed, uint64_t session) { return Dice(seed * 0x9E37'79B9'7F4A'7C15ULL + session); }

}  // namespace

int main(int argc, char** argv) {
  const uint64_t sessions = number(argc, argv, 1, 10'000), seed = number(argc, argv, 2, 1),
                 first = number(argc, argv, 3, 0);
  const auto began = std::chrono::steady_clock::now();
  uint64_t failed = 0, bytes = 0, messages = 0, events = 0;
  std::map<std::string, uint64_t> verdicts, notes;
  for (uint64_t n = first; n < first + sessions; ++n) {
    Dice dice = dice_of(seed, n);
    const Plan plan = PlanMaker(dice).make();
    const PlayedPlan played = play(plan, dice);
    const Transcript& t = played.transcript;
    ++verdicts[std::string(name(t.verdict))];
    for (const Finding& note : t.notes) ++notes[note.code];
    bytes += t.sender_stream.bytes + t.gateway_stream.bytes;
    messages += t.messages.size();
    events += t.events.size();
    const std::string wrong = compare(plan, t);
    if (wrong.empty()) continue;
    if (++failed > kShown) continue;
    Dice again = dice_of(seed, n);
    const Plan same = PlanMaker(again).make();
    fmt::print("FAILED: session {} of seed {}\n{}{}\n", n, seed, wrong, play(same, again, true).script);
  }
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  for (const auto& [verdict, count] : verdicts) fmt::print("{:>9} {}\n", count, verdict);
  for (const auto& [code, count] : notes) fmt::print("{:>9} note {}\n", count, code);
  fmt::print("summary: healthy sessions: {} played, seed {}, {} messages, {} events, {:.1f} MB, {:.1f} s, {} failed\n",
             sessions, seed, messages, events, static_cast<double>(bytes) / 1e6, took, failed);
  return failed == 0 && sessions > 0 ? 0 : 1;
}
