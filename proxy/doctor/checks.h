// The table of what doctor checks, in the order in which it says so. Each check is a pure judgement of facts; what does
// not matter in the configured mode is skipped and says why, so that it can never fail.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/doctor/facts.h"
#include "proxy/doctor/finding.h"

namespace smtpscope {

struct Check {
  std::string_view name;   ///< a word; stays the same, for programs
  std::string_view about;  ///< what it is about, for people
  HostFindings (*judge)(const DoctorFacts&);
};

std::span<const Check> doctor_checks();

struct CheckedFindings {
  const Check* check;
  HostFindings findings;
};
std::vector<CheckedFindings> examine(const DoctorFacts& facts);

/// One failed?
bool unfit(const std::vector<CheckedFindings>& all);

/// A line or more each; and as JSON ("smtpscope.doctor/1"). Whatever the gateway said is harmless in both.
std::string doctor_text(const std::vector<CheckedFindings>& all, const DoctorFacts& facts);
std::string doctor_json(const std::vector<CheckedFindings>& all, const DoctorFacts& facts);

}  // namespace smtpscope
