#include "capture/store/window_log.h"

#include <algorithm>
#include <charconv>

#include "capture/store/append_file.h"
#include "capture/store/instance.h"
#include "capture/store/json_cursor.h"
#include "capture/store/paths.h"
#include "capture/transcript/json_reader.h"
#include "capture/transcript/json_text.h"

namespace smtpscope {
namespace {

constexpr std::string_view kSchema = "smtpscope.window/1";

std::string begin_of_line(std::string_view instance, std::string_view event, int64_t at_us, std::string_view window) {
  std::string line = "{\"schema\":\"" + std::string(kSchema) + "\",\"instance\":";
  append_json_string(line, instance);
  line += ",\"event\":\"" + std::string(event) + "\",\"at\":\"" + iso_utc(at_us) + '"';
  if (!window.empty()) {
    line += ",\"window\":";
    append_json_string(line, window);
  }
  return line;
}

std::error_code append(std::string_view store, std::string line) {
  line += "}\n";
  return AppendFile(windows_path(store)).append(line);
}

struct Line {
  std::string schema, event;
  RecordingWindow window;
  int64_t at_us = -1;
};

Line read_line(std::string_view text) {
  Line line;
  const auto strings = [](std::string_view array) {
    std::vector<std::string> out;
    json_elements(array, [&](std::string_view value) { out.push_back(json_text_of(value)); });
    return out;
  };
  const auto number = [](std::string_view value, uint64_t& into) {
    std::from_chars(value.data(), value.data() + value.size(), into);
  };
  const bool whole = json_members(text, [&](std::string_view key, std::string_view value) {
    if (key == "schema") line.schema = json_text_of(value);
    if (key == "event") line.event = json_text_of(value);
    if (key == "instance") line.window.instance = json_text_of(value);
    if (key == "window") line.window.window = json_text_of(value);
    if (key == "at") line.at_us = parse_iso_utc(json_text_of(value)).value_or(-1);
    if (key == "listen") line.window.listen = strings(value);
    if (key == "senders") line.window.senders = strings(value);
    if (key == "exclude") line.window.exclude = strings(value);
    if (key == "sessions") number(value, line.window.sessions);
    if (key == "for_ms") number(value, line.window.for_ms);
  });
  if (!whole || line.schema != kSchema) line.at_us = -1;
  return line;
}

}  // namespace

std::error_code log_window_begin(std::string_view store, const RecordingWindow& w) noexcept {
  try {
    std::string line = begin_of_line(w.instance, "listening", w.from_us, w.window);
    line += ",\"listen\":";
    append_json_strings(line, w.listen);
    line += ",\"senders\":";
    append_json_strings(line, w.senders);
    line += ",\"exclude\":";
    append_json_strings(line, w.exclude);
    line += ",\"sessions\":" + std::to_string(w.sessions) + ",\"for_ms\":" + std::to_string(w.for_ms);
    return append(store, std::move(line));
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
  }
}

std::error_code log_window_end(std::string_view store, std::string_view instance, int64_t at_us,
                               std::string_view window) noexcept {
  try {
    return append(store, begin_of_line(instance, "stopped", at_us, window));
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
  }
}

std::vector<RecordingWindow> read_windows(std::string_view store, int64_t now_us) {
  std::vector<RecordingWindow> windows;
  std::vector<bool> told;  // how it ended
  try {
    const MappedFile file(windows_path(store));
    const std::string_view bytes = file.bytes();
    for (size_t begin = 0, end = 0; (end = bytes.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
      Line line = read_line(bytes.substr(begin, end - begin));
      if (line.at_us < 0) continue;
      if (line.event == "listening") {
        line.window.from_us = line.window.to_us = line.at_us;
        windows.push_back(std::move(line.window));
        told.push_back(false);
      } else if (line.event == "stopped") {
        for (size_t i = windows.size(); i-- > 0;) {
          if (windows[i].instance != line.window.instance || windows[i].window != line.window.window) continue;
          windows[i].to_us = std::max(windows[i].from_us, line.at_us);
          told[i] = true;
          break;
        }
      }
    }
  } catch (const std::system_error&) {
    return {};  // no log, no proof
  }
  for (size_t i = 0; i < windows.size(); ++i) {
    RecordingWindow& w = windows[i];
    if (!told[i] && instance_alive(store, w.instance)) w.to_us = std::max(w.from_us, now_us);
    if (w.for_ms > 0) {
      constexpr uint64_t kMostMs = uint64_t{1} << 50;
      w.to_us = std::min(w.to_us, w.from_us + static_cast<int64_t>(std::min(w.for_ms, kMostMs)) * 1000);
    }
    if (w.sessions > 0 && (w.window.empty() || !told[i])) w.to_us = w.from_us;
  }
  std::stable_sort(windows.begin(), windows.end(),
                   [](const RecordingWindow& a, const RecordingWindow& b) { return a.from_us < b.from_us; });
  return windows;
}

}  // namespace smtpscope
