#include "capture/error_words.h"

#include <algorithm>
#include <array>
#include <utility>

namespace smtpscope {

std::string error_words(std::string_view errno_name) {
  using Words = std::pair<std::string_view, std::string_view>;
  constexpr std::array kWords{
      Words{"ECONNREFUSED", "connection refused"},
      Words{"ECONNRESET", "connection reset"},
      Words{"ETIMEDOUT", "no answer in time"},
      Words{"EHOSTUNREACH", "host unreachable"},
      Words{"EHOSTDOWN", "host down"},
      Words{"ENETUNREACH", "no route to its network"},
      Words{"ENETDOWN", "network down"},
      Words{"EADDRNOTAVAIL", "no such address, or no free port, on this host"},
      Words{"EADDRINUSE", "address in use"},
      Words{"EACCES", "not permitted"},
      Words{"EPERM", "not permitted"},
      Words{"EMFILE", "too many open files"},
      Words{"ENFILE", "too many open files"},
      Words{"ENOBUFS", "no memory for it"},
      Words{"ENOMEM", "no memory for it"},
      Words{"EINVAL", "not a usable address"},
  };
  const auto* found = std::find_if(kWords.begin(), kWords.end(), [&](const Words& w) { return w.first == errno_name; });
  if (found == kWords.end()) return std::string(errno_name);
  return std::string(found->second) + " (" + std::string(errno_name) + ")";
}

}  // namespace smtpscope
