// What a fuzz target holds true of every input: the run ends, and its input is kept, where it is not.
#pragma once

#include <cstdlib>

inline void demand(bool condition) {
  if (!condition) std::abort();
}
