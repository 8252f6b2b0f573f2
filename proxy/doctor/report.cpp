// What doctor found, as text and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "capture/transcript/harmless.h"
#include "proxy/doctor/checks.h"

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

constexpr size_t kWidth = 100, kIndent = 9;

const char* word_of(Health health) {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::warning:
      return "warning";
    case Health::failed:
      return "failed";
    case Health::skipped:
      break;
  }
  return "skipped";
}

const char* name_of(Present present) {
  constexpr const char* kNames[] = {"sender", "proxy", "proxy-v1", "proxy-v2"};
  return kNames[static_cast<size_t>(present)];
}

const char* name_of(Accept accept) {
  constexpr const char* kNames[] = {"direct", "tproxy", "proxy-protocol"};
  return kNames[static_cast<size_t>(accept)];
}

void add_wrapped(std::string& out, const std::string& text, std::string_view lead) {
  std::string_view before = lead;
  for (const std::string& line : wrap(harmless(text), kWidth - kIndent, kWidth - kIndent)) {
    out += fmt::format("{:<{}}{}\n", before, kIndent, line);
    before = "";
  }
}

size_t skipped_checks(const std::vector<CheckedFindings>& all) {
  return static_cast<size_t>(std::count_if(all.begin(), all.end(), [](const CheckedFindings& c) {
    return std::all_of(c.findings.begin(), c.findings.end(),
                       [](const HostFinding& f) { return f.health == Health::skipped; });
  }));
}

}  // namespace

std::string doctor_text(const std::vector<CheckedFindings>& all, const DoctorFacts& facts) {
  std::string out;
  size_t warnings = 0, failures = 0;
  for (const CheckedFindings& checked : all)
    for (const HostFinding& f : checked.findings) {
      if (f.health == Health::warning) ++warnings;
      if (f.health == Health::failed) ++failures;
      add_wrapped(out, fmt::format("{}: {}", checked.check->about, f.says), word_of(f.health));
      if (!f.advice.empty()) add_wrapped(out, "-> " + f.advice, "");
    }
  out += fmt::format("{} failed, {} warning{}\n", failures, warnings, warnings == 1 ? "" : "s");
  if (!facts.configured)
    add_wrapped(
        out,
        fmt::format("nothing but this host was checked, {} of {} checks were skipped: give --config FILE to have "
                    "the listeners, the gateway and the ways to it checked",
                    skipped_checks(all), all.size()),
        "NOTE");
  return out;
}

std::string doctor_json(const std::vector<CheckedFindings>& all, const DoctorFacts& facts) {
  json checks = json::array(), accept = json::array();
  for (const ListenerSettings& l : facts.settings.listeners) accept.push_back(name_of(l.accept));
  for (const CheckedFindings& checked : all)
    for (const HostFinding& f : checked.findings)
      checks.push_back({{"check", checked.check->name},
                        {"result", word_of(f.health)},
                        {"says", f.says},
                        {"advice", f.advice.empty() ? json() : json(f.advice)},
                        {"facts", f.facts}});
  const json out = {{"schema", "smtpscope.doctor/1"},
                    {"fit", !unfit(all)},
                    {"configured", facts.configured},
                    {"accept", std::move(accept)},
                    {"present", facts.configured ? json(name_of(facts.settings.gateway.present)) : json()},
                    {"checks", std::move(checks)}};
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace smtpscope
