// Any lines as transcripts of a store, through the summary's reader and the summary itself: no crash; what is read
// keeps its bounds, and what comes out is valid JSON and shown harmlessly within its width.
#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "capture/summary/session_digest.h"
#include "capture/summary/summary.h"
#include "capture/summary/summary_text.h"
#include "capture/transcript/harmless.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

namespace {

void check(const SessionDigest& d) {
  demand(!d.id.empty() && !d.ip.empty() && d.ended_us >= d.started_us);
  demand(!d.left || d.silence_us >= kLeastSilence);
  demand(d.messages.size() <= kMostMessages);
  for (const DigestMessage& m : d.messages) demand(m.recipients.size() <= kMostRecipients);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Summarizer summarizer([](const std::string&) { return int64_t{1'795'525'200'000'000}; });
  size_t counted = 0;
  while (!input.empty()) {
    const std::string_view line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(line.size() + 1, input.size()));
    if (auto digest = digest_line(line)) {
      check(*digest);
      summarizer.add(std::move(*digest), true);
      ++counted;
    }
  }
  size_t sessions = 0;
  for (const SenderSummary& s : summarizer.finish()) {
    sessions += s.sessions;
    demand(nlohmann::json::parse(summary_json(s)).is_object());
    const std::string text = summary_text(s, {80, false});
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      demand(end != std::string::npos);
      const std::string_view shown = std::string_view(text).substr(at, end - at);
      demand(harmless(shown) == shown);
      at = end + 1;
    }
  }
  demand(sessions == counted);
  return 0;
}
