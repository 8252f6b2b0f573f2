#include "proxy/doctor/port_holder.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

namespace smtpscope {

std::string port_holder(std::string_view ss, const std::function<long(long)>& parent_of) {
  std::vector<std::pair<std::string, long>> holders;
  constexpr std::string_view kName = "(\"", kPid = "\",pid=";
  for (size_t at = ss.find(kName); at != std::string_view::npos; at = ss.find(kName, at)) {
    at += kName.size();
    const size_t pid = ss.find(kPid, at);
    if (pid == std::string_view::npos) break;
    long number = 0;
    std::from_chars(ss.data() + pid + kPid.size(), ss.data() + ss.size(), number);
    if (number > 0) holders.emplace_back(ss.substr(at, pid - at), number);
    at = pid;
  }
  const auto one_of_them = [&](long pid) {
    return std::any_of(holders.begin(), holders.end(), [&](const auto& h) { return h.second == pid; });
  };
  auto opener = std::find_if(holders.begin(), holders.end(), [&](const auto& h) {
    const long parent = parent_of(h.second);
    return parent == h.second || !one_of_them(parent);
  });
  if (opener == holders.end()) opener = holders.begin();
  return opener == holders.end() ? "" : opener->first + " (pid " + std::to_string(opener->second) + ")";
}

}  // namespace smtpscope
