// The dice of the generated sessions: the same seed gives the same session on every machine, which the distributions of
// the standard library do not promise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

namespace smtpscope {

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}

  /// 0 <= result < n; n must not be 0.
  uint64_t below(uint64_t n) { return engine_() % n; }
  /// from <= result <= to
  uint64_t between(uint64_t from, uint64_t to) { return from + below(to - from + 1); }
  /// True in `percent` of 100 cases.
  bool chance(unsigned percent) { return below(100) < percent; }
  template <class T, size_t N>
  const T& of(const T (&choices)[N]) {
    return choices[below(N)];
  }
  template <class T>
  const T& of(std::span<const T> choices) {
    return choices[below(choices.size())];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace smtpscope
