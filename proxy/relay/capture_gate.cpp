#include "proxy/relay/capture_gate.h"

namespace smtpscope {

CaptureGate::Admission CaptureGate::admit(const std::vector<Open>& windows, const std::string& ip) {
  Admission admission;
  for (const Open& open : windows) {
    if (open.window->over()) continue;
    const std::optional<std::string_view> entry = open.match(ip);
    if (!entry || !open.window->enter()) continue;
    if (!admission) admission.entry = *entry;
    admission.windows.push_back(open.window);
  }
  return admission;
}

}  // namespace smtpscope
