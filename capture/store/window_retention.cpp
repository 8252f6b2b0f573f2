#include "capture/store/window_retention.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "capture/store/debug_windows.h"
#include "capture/store/instance.h"

namespace smtpscope {
namespace {

uint64_t number_of(const StoredWindow& window) { return std::strtoull(window.window.id.c_str(), nullptr, 10); }

bool goes_on(std::string_view store, const StoredWindow& window) {
  return std::any_of(window.runs.begin(), window.runs.end(), [&](const StoredWindow::Run& run) {
    return run.tally.sessions > run.tally.ended() && instance_alive(store, run.instance);
  });
}

}  // namespace

size_t retire_windows(std::string_view store, size_t most) {
  if (count_debug_windows(store) <= most) return 0;
  std::vector<StoredWindow> ended = read_debug_windows(store);
  const auto newest = std::max_element(ended.begin(), ended.end(), [](const StoredWindow& a, const StoredWindow& b) {
    return number_of(a) < number_of(b);
  });
  const std::string numbered = newest == ended.end() ? "" : newest->folder;
  std::erase_if(ended, [](const StoredWindow& w) { return w.ended_by.empty(); });
  if (ended.size() <= most) return 0;
  std::stable_sort(ended.begin(), ended.end(),
                   [](const StoredWindow& a, const StoredWindow& b) { return a.ended_us < b.ended_us; });
  constexpr size_t kShareMore = 10;
  ended.resize(ended.size() - most + most / kShareMore);
  size_t gone = 0;
  for (const StoredWindow& window : ended)
    if (window.folder != numbered && !goes_on(store, window) && !remove_window(window.folder)) ++gone;
  return gone;
}

}  // namespace smtpscope
