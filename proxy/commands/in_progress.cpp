#include "proxy/commands/in_progress.h"

#include <fmt/core.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>

#include "capture/transcript/text_page.h"
#include "proxy/control/control_client.h"

namespace smtpscope {
namespace {

constexpr std::chrono::milliseconds kPatience{500};  // what is asked for does not depend on it

}  // namespace

std::optional<std::string> in_progress_text(std::string_view metrics) {
  constexpr std::string_view kName = "\nsmtpscope_captured_sessions_open ";
  const size_t at = metrics.find(kName);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view digits = metrics.substr(at + kName.size());
  uint64_t open = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), open);
  if (open == 0) return std::nullopt;
  return fmt::format("{} in progress, of whatever sender; {} here when over", counted(open, "session"),
                     open == 1 ? "it is shown" : "they are shown");
}

void tell_in_progress(const std::string& store) {
  const auto answer = ask_proxy({store, {}}, "GET", "/metrics", {}, kPatience);
  if (!answer || answer->status != 200) return;
  if (const auto text = in_progress_text(answer->body)) fmt::print(stderr, "smtpscope: {}\n", *text);
}

}  // namespace smtpscope
