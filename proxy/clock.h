// The wall's clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace smtpscope {

/// Unix time, microseconds.
inline int64_t unix_us() {
  using std::chrono::microseconds, std::chrono::system_clock;
  return std::chrono::duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace smtpscope
