// Plays a plan as the two sides might have: in segments of any size, interleaved as the network pleases.
#pragma once

#include <string>

#include "capture/transcript/transcript.h"
#include "tests/generated/plan.h"
#include "tests/generated/random.h"

namespace smtpscope {

struct PlayedPlan {
  Transcript transcript;
  std::string script;  ///< what was played, as diagnosis/script.h reads it; empty if nobody asked for it
};

PlayedPlan play(const Plan& plan, Dice& dice, bool scripted = false);

/// What of the transcript is not as the plan expects, a line each; empty if all is.
std::string compare(const Plan& plan, const Transcript& transcript);

}  // namespace smtpscope
