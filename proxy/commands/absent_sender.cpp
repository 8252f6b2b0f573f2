#include "proxy/commands/absent_sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "capture/summary/words.h"
#include "capture/transcript/json_text.h"
#include "capture/transcript/text_page.h"
#include "config/sender_filter.h"

namespace smtpscope {
namespace {

constexpr size_t kMostSpans = 5;

constexpr const char* kNext =
    "Check next: which host the recipient domain's MX leads the sender to (dig MX DOMAIN, asked where the sender "
    "asks); "
    "whether the sender may connect out on port 25 at all (nc -vz HOST 25 from its host; many providers block it); and "
    "routing and firewalls between the two (on this host, tcpdump -ni any tcp port 25 and host SENDER shows whether "
    "its "
    "packets arrive).";

bool records(const RecordingWindow& window, const SenderSpec& spec) {
  const Result<SenderFilter> filter = SenderFilter::build(window.senders, window.exclude);
  if (!filter || spec.kind != SenderSpec::Kind::addresses) return filter && spec.kind == SenderSpec::Kind::any;
  return filter->match(spec.first) && filter->match(spec.last) && !filter->needs_name(spec.first);
}

/// Were names among its senders? Whom they meant then is not kept.
bool has_names(const RecordingWindow& window) {
  const Result<SenderFilter> filter = SenderFilter::build(window.senders, window.exclude);
  return filter && (!filter->unresolved().empty() || filter->has_domains());
}

std::string spans_text(const std::vector<std::pair<int64_t, int64_t>>& spans) {
  std::string text;
  for (size_t i = 0; i < std::min(spans.size(), kMostSpans); ++i)
    text +=
        fmt::format("{}from {} to {}", i == 0 ? "" : ", ", moment_text(spans[i].first), moment_text(spans[i].second));
  if (spans.size() > kMostSpans) text += fmt::format(" and {} times more", spans.size() - kMostSpans);
  return text + " UTC";
}

}  // namespace

AbsentSender absent_sender(const std::string& asked, const SenderSpec& spec, const StoredElsewhere& stored,
                           const std::vector<RecordingWindow>& windows, int64_t since_us, int64_t until_us,
                           int64_t now_us) {
  AbsentSender absent{asked, {}, {}, stored.sessions, {}};
  if (stored.sessions > 0) {
    absent.text = fmt::format(
        "No session matches, but the store holds {} of it; the newest, {}, began at {}. Widen the "
        "other filters to see {}.",
        counted(stored.sessions, "session"), stored.newest_id, stored.newest_started,
        stored.sessions == 1 ? "it" : "them");
    return absent;
  }
  std::set<std::string> listen;
  std::vector<std::pair<int64_t, int64_t>> unrecorded, by_name;
  bool open = false;
  for (const RecordingWindow& w : windows) {
    const int64_t from = std::max(w.from_us, since_us), to = std::min(w.to_us, std::min(until_us, now_us));
    if (from >= to) continue;
    auto& spans = records(w, spec) ? absent.watched : has_names(w) ? by_name : unrecorded;
    if (&spans == &absent.watched) listen.insert(w.listen.begin(), w.listen.end());
    open = open || (&spans == &absent.watched && to == now_us);
    if (!spans.empty() && from <= spans.back().second)
      spans.back().second = std::max(spans.back().second, to);
    else
      spans.emplace_back(from, to);
  }
  if (!absent.watched.empty()) {
    absent.text = fmt::format(
        "No session. The proxy was listening on {} and recording this sender {}, and saw no "
        "connection of it at all{}.",
        fmt::join(listen, ", "), spans_text(absent.watched),
        open ? " (one that is still open would not show yet)" : "");
  } else if (!by_name.empty()) {
    absent.text = fmt::format(
        "No session. The proxy was listening {}, for senders that were named and not listed by address; whether this "
        "one "
        "was among them then is not kept (the proxy's log says what each name meant).",
        spans_text(by_name));
  } else if (!unrecorded.empty()) {
    absent.text = fmt::format(
        "No session. The proxy was listening {}, but was not set to record this sender, so the "
        "store cannot tell whether it came: see --sender of run, or capture.senders.",
        spans_text(unrecorded));
  } else {
    absent.text = "No session. This store does not show whether the proxy was listening then.";
  }
  absent.next = kNext;
  return absent;
}

std::string absent_json(const AbsentSender& a) {
  using json = nlohmann::ordered_json;
  json watched = json::array();
  for (const auto& [from, to] : a.watched) watched.push_back({{"from", iso_utc(from)}, {"to", iso_utc(to)}});
  const json out = {{"schema", "smtpscope.summary/1"},
                    {"sender", a.sender},
                    {"sessions", 0},
                    {"absent", {{"text", a.text}, {"next", a.next}, {"stored", a.stored}, {"watched", watched}}}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace smtpscope
