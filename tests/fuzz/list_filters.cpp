// Any words as filters: no crash; what is taken as a moment is taken again as it is written.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "proxy/commands/list_filters.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace smtpscope;
  const std::string all(reinterpret_cast<const char*>(data), size);
  const size_t half = all.find('\n');
  const std::string first = all.substr(0, half), second = half == std::string::npos ? "" : all.substr(half + 1);
  constexpr int64_t kNow = 1'795'485'600'000'000;
  if (const auto moment = parse_moment(first, kNow)) {
    const auto again = parse_moment(*moment, kNow);
    if (!again || *again != *moment) std::abort();
  }
  (void)query_of({{first, second}, {first}, {}, {}, {}, "", second}, kNow);
  (void)query_of({{}, {}, {first}, {second}, {}, "", ""}, kNow);
  (void)query_of({{}, {}, {}, {}, {first}, second, ""}, kNow);
  return 0;
}
