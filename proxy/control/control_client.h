// Asks a running proxy, from a command: one request, its answer, within bounds of time and size.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "config/settings.h"

namespace smtpscope {

/// Where a proxy may be asked: on the socket of its store, and if it does not answer there, on its control address.
struct ControlPlace {
  std::string store;
  ControlSettings control{};
};

inline constexpr std::chrono::milliseconds kControlPatience{20'000};
/// For what can do without an answer.
inline constexpr std::chrono::milliseconds kShortPatience{5'000};

struct ControlAnswer {
  int status = 0;
  std::string body;
};

/// The error says what was tried, what came of it and what to check. Of a proxy that answers, whatever it answers is no
/// error. `patience`: with each of the two ways.
Result<ControlAnswer> ask_proxy(const ControlPlace& place, const std::string& method, const std::string& path,
                                const std::string& body = {}, std::chrono::milliseconds patience = kControlPatience);

/// The process that takes connections of senders with this store now; none if there is none, if it is about to end,
/// hangs or does not answer soon, and if this user may not ask. 0: it is of another container.
std::optional<int> proxy_in_charge(const std::string& store);

/// Takes an answer apart. Pure. The error says that it is none.
Result<ControlAnswer> read_answer(std::string_view bytes);

}  // namespace smtpscope
