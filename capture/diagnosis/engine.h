// Runs the rules over one session: verdict, the one breakdown (the earliest cause), and notes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "capture/diagnosis/rule.h"

namespace smtpscope {

struct Diagnosis {
  Verdict verdict = Verdict::unknown;
  std::string summary;  ///< one sentence that a person can act on
  std::optional<Finding> breakdown;
  std::vector<Finding> notes;
};

/// Pure: the same case gives the same diagnosis.
Diagnosis diagnose(const Case& session);

}  // namespace smtpscope
