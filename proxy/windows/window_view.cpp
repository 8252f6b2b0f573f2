#include "proxy/windows/window_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "capture/summary/words.h"
#include "capture/transcript/harmless.h"
#include "capture/transcript/json_text.h"
#include "config/sender_filter.h"
#include "config/sender_spec.h"
#include "config/units.h"
#include "proxy/relay/capture_window.h"

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

constexpr size_t kMostCodes = 5;    // that are shown
constexpr size_t kMostListed = 20;  // entries in a line of text
constexpr std::array kVerdicts{Verdict::delivered, Verdict::breakdown, Verdict::no_mail, Verdict::unknown};

const char* verdict_words(Verdict v) {
  return v == Verdict::delivered   ? "delivered"
         : v == Verdict::breakdown ? "broke"
         : v == Verdict::no_mail   ? "without mail"
                                   : "unknown";
}

/// Most frequent first.
std::vector<std::pair<std::string, WindowTally::Code>> by_frequency(const WindowTally& tally) {
  std::vector<std::pair<std::string, WindowTally::Code>> codes(tally.codes.begin(), tally.codes.end());
  std::stable_sort(codes.begin(), codes.end(),
                   [](const auto& a, const auto& b) { return a.second.sessions > b.second.sessions; });
  return codes;
}

/// Of sessions that are over and have no verdict: the process died.
uint64_t interrupted(const WindowFacts& f) {
  const WindowTally& t = f.stored.tally;
  return t.sessions - std::min(t.sessions, t.ended() + f.in_progress);
}

std::string look_first(const WindowFacts& f) {
  const auto codes = by_frequency(f.stored.tally);
  const std::string& id = codes.empty() ? f.stored.tally.newest : codes.front().second.newest;
  if (id.empty()) return {};
  return "smtpscope show " + id + (f.store.empty() ? "" : " --store " + f.store);
}

std::string listed(const json& entries) {
  std::vector<std::string> shown;
  for (const json& entry : entries) {
    if (shown.size() == kMostListed) break;
    shown.push_back(harmless(entry.get<std::string>()));
  }
  const size_t left = entries.size() - shown.size();
  return fmt::format("{}{}", fmt::join(shown, ", "), left == 0 ? "" : fmt::format(" and {} more", left));
}

/// Does it leave anything of these addresses, whatever its exclusions take?
bool leaves_some(const SenderFilter& filter, const SenderSpec& spec) {
  const auto ranges = filter.ranges(spec.first.is_v4() ? IpAddress::Family::v4 : IpAddress::Family::v6);
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const SenderFilter::Range& r) { return r.first <= spec.last && spec.first <= r.last; });
}

/// "203.0.113.0/24", and what is excluded from it: " (but for 203.0.113.1)".
std::string with_exceptions(const std::string& entry, const json& exclude) {
  const auto spec = parse_sender_spec(entry);
  std::vector<std::string> taken;
  for (const json& each : exclude) {
    const auto other = parse_sender_spec(each.get<std::string>());
    const bool elsewhere = spec && other && other->kind == SenderSpec::Kind::addresses &&
                           (other->last < spec->first || spec->last < other->first);
    if (!elsewhere) taken.push_back(each.get<std::string>());
  }
  return taken.empty() ? entry : entry + " (but for " + listed(taken) + ")";
}

/// "5 sessions: 3 delivered, 2 broke, 1 in progress"
std::string counts_text(uint64_t sessions, uint64_t limit, const json& w) {
  std::string text = std::to_string(sessions);
  if (limit > 0) text += fmt::format(" of {}", limit);
  text += sessions == 1 && limit == 0 ? " session" : " sessions";
  std::string of;
  const auto add = [&](uint64_t n, const char* what) {
    if (n > 0) of += fmt::format("{}{} {}", of.empty() ? ": " : ", ", n, what);
  };
  for (const Verdict v : kVerdicts) add(w.at("verdicts").at(std::string(name(v))).get<uint64_t>(), verdict_words(v));
  add(w.at("in_progress").get<uint64_t>(), "in progress");
  add(w.at("interrupted").get<uint64_t>(), "interrupted when the proxy died");
  return text + of;
}

/// Of a window that is open somebody may still come.
std::string absent_text(const json& w) {
  const json& absent = w.at("absent");
  if (!absent.is_array() || absent.empty()) return {};
  std::vector<std::string> entries;
  for (const json& entry : absent) entries.push_back(with_exceptions(entry.get<std::string>(), w.at("exclude")));
  return listed(entries) +
         (w.at("connections").get<uint64_t>() > 0 || w.at("state") != "ended"
              ? ""
              : " (nobody at all connected to the proxy in that time: do senders' connections lead to "
                "it?)");
}

std::string codes_text(const json& w) {
  std::string text;
  for (const json& code : w.at("breakdowns"))
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", harmless(code.at("code").get<std::string>()),
                        code.at("sessions").get<uint64_t>());
  return text;
}

}  // namespace

std::string cause_words(const std::string& ended_by) {
  return ended_by == "time"            ? "its time is over"
         : ended_by == "count"         ? "all its sessions have come"
         : ended_by == "hand"          ? "it was closed"
         : ended_by == "configuration" ? "the configuration asks for something else now"
                                       : "the proxy died when it ended it";
}

std::vector<std::pair<int64_t, int64_t>> listened_spans(const std::vector<RecordingWindow>& log,
                                                        const StoredWindow& stored, int64_t now_us) {
  const DebugWindow& w = stored.window;
  const int64_t end_us = stored.ended_us > 0 ? stored.ended_us : now_us;
  if (w.id == kConfigWindow) return {{w.opened_us, end_us}};
  std::vector<std::pair<int64_t, int64_t>> spans;
  for (const RecordingWindow& each : log) {
    const int64_t from = std::max(each.from_us, w.opened_us), to = std::min(each.to_us, end_us);
    if (each.window == w.id && from < to) spans.emplace_back(from, to);
  }
  return spans;
}

std::vector<std::string> absent_entries(const WindowFacts& f) {
  const DebugWindow& w = f.stored.window;
  std::vector<std::string> absent;
  const bool listened =
      std::any_of(f.listened.begin(), f.listened.end(), [](const auto& span) { return span.second > span.first; });
  const auto filter = SenderFilter::build(w.senders, w.exclude);
  if (!listened || !filter) return absent;
  for (uint32_t i = 0; i < std::min(w.senders.size(), CaptureWindow::kMostJudged); ++i) {
    const auto spec = parse_sender_spec(w.senders[i]);
    // Of "any" the number of sessions says it already.
    if (!spec || spec->kind != SenderSpec::Kind::addresses || f.stored.tally.came.contains(i)) continue;
    if (leaves_some(*filter, *spec)) absent.push_back(w.senders[i]);
  }
  return absent;
}

json window_json(const WindowFacts& given) {
  WindowFacts f = given;
  f.stored.settle(f.now_us);
  const DebugWindow& w = f.stored.window;
  const WindowTally& t = f.stored.tally;
  const bool ended = !f.stored.ended_by.empty();
  const auto or_null = [](bool is, auto value) { return is ? json(std::move(value)) : json(); };
  json verdicts = json::object(), codes = json::array(), listened = json::array();
  for (const Verdict v : kVerdicts) verdicts[std::string(name(v))] = t.count(v);
  for (const auto& [code, of] : by_frequency(t)) {
    if (codes.size() == kMostCodes) break;
    codes.push_back({{"code", code}, {"sessions", of.sessions}, {"newest", of.newest}});
  }
  for (const auto& [from, to] : f.listened) listened.push_back({{"from", iso_utc(from)}, {"to", iso_utc(to)}});
  const std::string first = look_first(f);
  return {{"schema", "smtpscope.debug-window/1"},
          {"id", w.id},
          {"state", ended    ? "ended"
                    : f.live ? "open"
                             : "waiting"},
          {"senders", w.senders},
          {"exclude", w.exclude},
          {"reason", or_null(!w.reason.empty(), w.reason)},
          {"opened", iso_utc(w.opened_us)},
          {"until", or_null(w.until_us > 0, iso_utc(w.until_us))},
          {"left_ms", or_null(w.until_us > 0 && !ended, (w.until_us - f.now_us) / 1000)},
          {"ended", or_null(ended, iso_utc(f.stored.ended_us))},
          {"ended_by", or_null(ended, f.stored.ended_by)},
          {"sessions", t.sessions},
          {"limit", or_null(w.sessions > 0, w.sessions)},
          {"in_progress", f.in_progress},
          {"interrupted", interrupted(f)},
          {"verdicts", std::move(verdicts)},
          {"breakdowns", std::move(codes)},
          {"connections", t.connections},
          {"listened", std::move(listened)},
          {"absent", or_null(!f.listened.empty(), absent_entries(f))},
          {"look_first", or_null(!first.empty(), first)}};
}

std::string window_line(const WindowFacts& f) {
  const json w = window_json(f);
  const uint64_t sessions = w.at("sessions").get<uint64_t>();
  std::string line = fmt::format("window {} is over ({}): {}", f.stored.window.id, cause_words(f.stored.ended_by),
                                 counts_text(sessions, 0, w));
  if (const std::string codes = codes_text(w); !codes.empty()) line += "; most often " + codes;
  if (const std::string absent = absent_text(w); !absent.empty()) line += "; never came: " + absent;
  if (w.at("look_first").is_string()) line += "; look first: " + w.at("look_first").get<std::string>();
  return line;
}

std::string window_text(const json& w) {
  std::string out;
  const auto line = [&](const char* label, const std::string& text) {
    if (!text.empty()) out += fmt::format("  {:<12}{}\n", label, text);
  };
  const auto text_of = [&](const char* key) {
    return w.at(key).is_string() ? harmless(w.at(key).get<std::string>()) : std::string();
  };
  const std::string state = w.at("state").get<std::string>();
  out += fmt::format("window {}: {}", text_of("id"), harmless(state));
  if (state == "ended") {
    out += fmt::format(" at {}: {}", text_of("ended"), cause_words(w.at("ended_by").get<std::string>()));
  } else {
    if (state == "waiting") out += " for the proxy to run";
    if (w.at("left_ms").is_number())
      out += fmt::format(", for another {}", span_text(std::max<int64_t>(w.at("left_ms").get<int64_t>(), 0) * 1000));
  }
  out += '\n';
  line("opened",
       text_of("opened") + (w.at("until").is_string() ? ", until " + text_of("until") : ", with no end in time"));
  line("senders", listed(w.at("senders")) + (w.at("exclude").empty() ? "" : ", but not " + listed(w.at("exclude"))));
  line("reason", text_of("reason"));
  const uint64_t limit = w.at("limit").is_number() ? w.at("limit").get<uint64_t>() : 0;
  line("sessions", counts_text(w.at("sessions").get<uint64_t>(), limit, w));
  line("broke", codes_text(w));
  line(state == "ended" ? "never came" : "not yet", absent_text(w));
  line("look first", text_of("look_first"));
  return out;
}

}  // namespace smtpscope
