#include "proxy/relay/capture_gate.h"

#include <algorithm>

namespace smtpscope {

CaptureGate::Admission CaptureGate::admit(const std::vector<Open>& windows, const std::string& ip) {
  Admission admission;
  for (const Open& open : windows) {
    if (open.window->over()) continue;
    const std::optional<std::string_view> entry = open.senders.match(ip);
    if (!entry || !open.window->enter()) continue;
    if (!admission) admission.entry = *entry;
    admission.windows.push_back(open.window);
  }
  return admission;
}

bool CaptureGate::needs_name(const std::vector<Open>& windows, const IpAddress& ip) {
  return std::any_of(windows.begin(), windows.end(), [&](const Open& open) {
    return open.senders.by_name && open.senders.by_name->needs_name(ip) && !open.window->over();
  });
}

CaptureGate::Admission CaptureGate::admit_named(const std::vector<Open>& windows, const IpAddress& ip,
                                                const ConfirmedNames& names, bool& covered) {
  Admission admission;
  const std::string text = ip.to_string();
  for (const Open& open : windows) {
    const auto& by_name = open.senders.by_name;
    const auto entry = by_name ? by_name->match(ip, names.names, names.all) : open.senders.match(text);
    if (!entry) continue;
    covered = true;
    if (!open.window->enter()) continue;
    if (!admission) admission.entry = *entry;
    admission.windows.push_back(open.window);
  }
  return admission;
}

}  // namespace smtpscope
