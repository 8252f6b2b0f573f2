#include "proxy/control/metrics.h"

#include <fmt/format.h>

#include <iterator>
#include <string_view>

namespace smtpscope {
namespace {

class Text {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    fmt::format_to(std::back_inserter(out_), "# HELP smtpscope_{} {}\n# TYPE smtpscope_{} {}\n", name, help, name,
                   type);
  }
  /// `labels` as they stand between the braces; none of ours needs escaping.
  void sample(uint64_t value, std::string_view labels = "") {
    if (labels.empty())
      fmt::format_to(std::back_inserter(out_), "smtpscope_{} {}\n", name_, value);
    else
      fmt::format_to(std::back_inserter(out_), "smtpscope_{}{{{}}} {}\n", name_, labels, value);
  }
  void counter(std::string_view name, std::string_view help, uint64_t value) {
    family(name, "counter", help);
    sample(value);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
  std::string_view name_;
};

uint64_t of(const RelayMetrics::Count& count) { return count.load(std::memory_order_relaxed); }

void write_captured(Text& text, const RelayMetrics& m) {
  uint64_t ended = 0;  // before those that began, as above
  for (const RelayMetrics::Count& verdict : m.verdicts) ended += of(verdict);
  const uint64_t begun = of(m.captured_begun);
  text.counter("captured_sessions_total", "Sessions that are or were recorded.", begun);
  text.family("captured_sessions_open", "gauge", "Sessions that are being recorded: in progress, or not analysed yet.");
  text.sample(begun > ended ? begun - ended : 0);
  text.family("verdicts_total", "counter", "Recorded sessions that have ended, by what came of them.");
  for (size_t i = 0; i < m.verdicts.size(); ++i)
    text.sample(of(m.verdicts[i]), fmt::format("verdict=\"{}\"", name(static_cast<Verdict>(i))));
  text.family("breakdowns_total", "counter", "Recorded sessions that broke, by where and by whom.");
  for (size_t phase = 0; phase < m.breakdowns.size(); ++phase)
    for (size_t party = 0; party < m.breakdowns[phase].size(); ++party)
      if (const uint64_t count = of(m.breakdowns[phase][party]); count > 0)
        text.sample(count, fmt::format("phase=\"{}\",party=\"{}\"", name(static_cast<Phase>(phase)),
                                       name(static_cast<Party>(party))));
  text.family("capture_losses_total", "counter",
              "Recorded sessions of which parts are missing in the recording; their mail went on.");
  for (size_t i = 0; i < m.losses.size(); ++i)
    text.sample(of(m.losses[i]), fmt::format("reason=\"{}\"", RelayMetrics::kLosses[i]));
}

}  // namespace

std::string metrics_text(const MetricsView& view) {
  const RelayMetrics& m = view.relay;
  Text text;
  text.family("build_info", "gauge", "The version that runs.");
  text.sample(1, fmt::format("version=\"{}\"", view.version));
  // Ended before begun: a session may do both in between, and none would be negative.
  const uint64_t ended = of(m.sessions_ended), begun = of(m.sessions_begun);
  text.counter("sessions_total", "Sessions begun, recorded or not.", begun);
  text.family("sessions_open", "gauge", "Sessions in progress.");
  text.sample(begun > ended ? begun - ended : 0);
  text.counter("gateway_connect_failures_total", "Sessions whose gateway could not be reached.", of(m.gateway_failed));
  text.family("relayed_bytes_total", "counter", "Bytes that each side sent in sessions that have ended.");
  text.sample(of(m.sender_bytes), "from=\"sender\"");
  text.sample(of(m.gateway_bytes), "from=\"gateway\"");
  write_captured(text, m);
  text.family("windows_open", "gauge", "Debug windows that are open, the configuration's own included.");
  text.sample(view.windows.size());
  text.family("window_sessions", "gauge", "Sessions so far of each debug window that is open.");
  for (const auto& [id, sessions] : view.windows) text.sample(sessions, fmt::format("window=\"{}\"", id));
  text.family("windows_ended_total", "counter", "Debug windows that have ended, by what ended them.");
  for (const auto& [cause, count] : view.windows_ended) text.sample(count, fmt::format("by=\"{}\"", cause));
  text.family("forgotten_sessions_total", "counter",
              "Sessions that waited for the sender's name and were not recorded, by why.");
  for (size_t i = 0; i < m.forgotten.size(); ++i)
    text.sample(of(m.forgotten[i]), fmt::format("reason=\"{}\"", RelayMetrics::kForgotten[i]));
  text.family("sender_names", "gauge", "Names among the senders: resolved, on their last good answer, or without one.");
  text.sample(of(m.names_good), "state=\"resolved\"");
  text.sample(of(m.names_kept), "state=\"kept\"");
  text.sample(of(m.names_failed), "state=\"failed\"");
  text.family("recorder_queue_bytes", "gauge", "Bytes that wait for each recorder.");
  for (size_t i = 0; i < view.recorder_backlogs.size(); ++i)
    text.sample(view.recorder_backlogs[i], fmt::format("recorder=\"{}\"", i));
  text.family("proxy_header_refusals_total", "counter",
              "Connections of load balancers, or of who would be one, closed for their PROXY header.");
  for (size_t i = 0; i < HeaderRefusals::kNames.size(); ++i)
    text.sample(view.refusals.count(static_cast<HeaderRefusals::Why>(i)),
                fmt::format("reason=\"{}\"", HeaderRefusals::kNames[i]));
  text.family("reloads_total", "counter", "Times that the configuration was loaded anew, or was not as it is wrong.");
  text.sample(of(m.reloads), "result=\"loaded\"");
  text.sample(of(m.reloads_refused), "result=\"refused\"");
  return text.take();
}

}  // namespace smtpscope
