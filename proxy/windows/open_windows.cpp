#include "proxy/windows/open_windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "capture/store/debug_windows.h"
#include "capture/transcript/json_text.h"
#include "proxy/clock.h"
#include "proxy/control/control_client.h"
#include "proxy/windows/window_view.h"

namespace smtpscope {

std::optional<OpenWindows> told_windows(const std::string& body) {
  using json = nlohmann::json;
  using Entries = std::vector<std::string>;
  try {
    OpenWindows out;
    out.told = true;
    out.config = false;
    const json told = json::parse(body);
    for (const json& window : told.at("windows")) {
      const json& left = window.at("left_ms");
      // An end that is a moment away is still an end.
      const uint64_t left_s =
          left.is_null() ? 0 : static_cast<uint64_t>(std::max<int64_t>((left.get<int64_t>() + 999) / 1000, 1));
      auto senders = window.at("senders").get<Entries>(), exclude = window.at("exclude").get<Entries>();
      out.ids.push_back(window.at("id").get<std::string>());
      if (out.ids.back() == kConfigWindow) {
        out.config = true;
        out.config_left_s = left_s;
        out.config_senders = std::move(senders);
        out.config_exclude = std::move(exclude);
      } else {
        out.opened.push_back({std::move(senders), std::move(exclude), left_s});
      }
    }
    return out;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

OpenWindows stored_windows(const std::string& store) {
  OpenWindows out;
  const int64_t now = unix_us();
  for (StoredWindow& stored : read_debug_windows(store)) {
    stored.settle(now);
    const DebugWindow& w = stored.window;
    if (!stored.ended_by.empty() || w.id == kConfigWindow) continue;
    const int64_t left_us = w.until_us == 0 ? 0 : w.until_us - now;
    out.opened.push_back({w.senders, w.exclude, static_cast<uint64_t>(left_us + 999'999) / 1'000'000});
  }
  return out;
}

OpenWindows windows_now(const Settings& settings) {
  const auto answer = ask_proxy({settings.store.path, settings.control}, "GET", "/windows", {}, kShortPatience);
  auto told = answer && answer->status == 200 ? told_windows(answer->body) : std::nullopt;
  if (told) return std::move(*told);
  OpenWindows stored = stored_windows(settings.store.path);
  stored.untold = answer ? fmt::format("it answers {}", answer->status) : answer.error();
  return stored;
}

std::string last_ended_window(const std::string& store) {
  const StoredWindow* last = nullptr;
  const int64_t now = unix_us();
  std::vector<StoredWindow> all = read_debug_windows(store);
  for (StoredWindow& stored : all) {
    stored.settle(now);
    if (!stored.ended_by.empty() && (last == nullptr || stored.ended_us > last->ended_us)) last = &stored;
  }
  if (last == nullptr) return {};
  return fmt::format("the last, {}, ended at {}: {}", last->window.id, iso_utc(last->ended_us),
                     cause_words(last->ended_by));
}

DivertPlanning plan_with_windows(Settings settings, const ResolvedNames& names, const OpenWindows& windows) {
  if (!windows.told) return plan_divert(settings, names, windows.opened);
  settings.capture.senders = windows.config_senders;
  settings.capture.exclude = windows.config_exclude;
  return plan_divert(settings, names, windows.opened, windows.config_left_s);
}

}  // namespace smtpscope
