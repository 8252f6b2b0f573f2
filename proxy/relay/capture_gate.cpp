#include "proxy/relay/capture_gate.h"

#include <optional>
#include <string_view>

namespace smtpscope {
namespace {

void enter(CaptureGate::Admission& admission, const CaptureGate::Open& open, std::optional<std::string_view> entry) {
  if (!entry) return;
  admission.covered = true;
  if (!open.window->enter()) return;
  if (!admission) admission.entry = *entry;
  admission.windows.push_back(open.window);
}

}  // namespace

CaptureGate::Admission CaptureGate::admit(const std::vector<Open>& windows, const IpAddress& ip,
                                          const ConfirmedNames* names) {
  Admission admission;
  for (const Open& open : windows) {
    if (open.window->over()) continue;
    if (!open.filter->needs_name(ip))
      enter(admission, open, open.filter->match(ip));
    else
      admission.by_name = true;
  }
  if (admission.by_name && names != nullptr) admit_named(windows, ip, *names, admission);
  return admission;
}

void CaptureGate::admit_named(const std::vector<Open>& windows, const IpAddress& ip, const ConfirmedNames& names,
                              Admission& admission) {
  for (const Open& open : windows)
    if (open.filter->needs_name(ip)) enter(admission, open, open.filter->match(ip, names.names, names.all));
}

}  // namespace smtpscope
