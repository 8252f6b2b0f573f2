#include "proxy/windows/window_keeper.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "capture/store/window_log.h"
#include "capture/store/window_retention.h"
#include "capture/transcript/harmless.h"
#include "capture/transcript/json_text.h"
#include "capture/transcript/text_page.h"
#include "config/units.h"
#include "proxy/clock.h"

namespace smtpscope {
namespace {

constexpr const char* kSilent = "its disk does not answer";

/// 0: it has none.
uint64_t number_of(const DebugWindow& window) { return std::strtoull(window.id.c_str(), nullptr, 10); }

void warn_if(const std::error_code& error, const std::string& what) {
  if (error) spdlog::warn("{}: {}", what, error.message());
}

}  // namespace

WindowKeeper::WindowKeeper(Proxy& proxy, SharedCounts& counts, FilterOf filter_of, std::function<void()> changed)
    : proxy_(proxy), counts_(counts), filter_of_(std::move(filter_of)), changed_(std::move(changed)) {}

std::vector<std::string> WindowKeeper::entries() const {
  std::vector<std::string> entries;
  for (const Kept& kept : open_) {
    if (kept.is_config()) continue;
    entries.insert(entries.end(), kept.terms().senders.begin(), kept.terms().senders.end());
    entries.insert(entries.end(), kept.terms().exclude.begin(), kept.terms().exclude.end());
  }
  return entries;
}

std::vector<std::string> WindowKeeper::refilter() {
  std::vector<std::string> withheld;
  for (Kept& kept : open_) {
    if (kept.is_config()) continue;
    const auto filter = filter_of_(kept.terms().senders, kept.terms().exclude);
    if (!filter) continue;  // it was right when it was opened
    kept.filter = *filter;
    withheld.insert(withheld.end(), kept.filter->withheld().begin(), kept.filter->withheld().end());
  }
  put();
  return withheld;
}

void WindowKeeper::resume() {
  take_config();
  const std::string& store = proxy_.settings().store.path;
  const int64_t now = unix_us();
  const auto log = read_windows(store, now);
  retire_windows(store);
  for (StoredWindow& stored : read_debug_windows(store)) {
    if (!stored.ended_by.empty() || stored.window.id == kConfigWindow) continue;
    const OtherRuns others = other_runs(store, stored, proxy_.instance());
    stored.settle(now);
    if (!stored.ended_by.empty()) {
      if (others.in_progress > 0) continue;  // who still has sessions of it ends it, and tells
      std::error_code error;
      if (end_window(stored.folder, stored.ended_by, stored.ended_us, error) && claim_telling(stored.folder))
        spdlog::info("{}", window_line({stored, now, 0, false, listened_spans(log, stored, now), store_hint()}));
      warn_if(error, stored.folder);
      continue;
    }
    const auto filter = filter_of_(stored.window.senders, stored.window.exclude);
    if (!filter) {
      spdlog::error("window {} does not go on: {}", stored.window.id, filter.error());
      continue;
    }
    Kept kept;
    kept.listened = listened_spans(log, stored, now);
    if (others.alive) kept.settled = others.settled;
    kept.window = std::make_shared<CaptureWindow>(stored.window, stored.tally,
                                                  std::make_unique<TallyFile>(stored.folder, proxy_.instance()),
                                                  counts_.resume(number_of(stored.window), stored.tally.sessions));
    kept.filter = *filter;
    kept.folder = stored.folder;
    spdlog::info("window {} goes on: {} so far{}", stored.window.id, counted(stored.tally.sessions, "session"),
                 stored.window.until_us == 0 ? "" : ", until " + iso_utc(stored.window.until_us));
    open_.push_back(std::move(kept));
  }
  put();
}

bool WindowKeeper::take_config() {
  if (proxy_.config_window() == config_) return false;
  config_ = proxy_.config_window();
  if (!config_) return true;
  Kept kept;
  kept.window = config_;
  open_.insert(open_.begin(), std::move(kept));
  return true;
}

void WindowKeeper::begin(Kept& kept) {
  kept.since_us = unix_us();
  kept.connections_before = proxy_.connections();
  if (kept.is_config()) return;  // the proxy's own word
  const DebugWindow& w = kept.terms();
  RecordingWindow recording{
      proxy_.instance(), proxy_.addresses(), w.senders,
      w.exclude,         w.sessions,         static_cast<uint64_t>(w.left_us(kept.since_us) + 999) / 1000,
      kept.since_us,     kept.since_us,      w.id};
  proxy_.store().run([store = proxy_.settings().store.path, recording = std::move(recording)] {
    warn_if(log_window_begin(store, recording), store + "/windows.log");
  });
}

void WindowKeeper::stop_listening(Kept& kept, int64_t at_us) {
  if (kept.since_us == 0) return;
  kept.window->saw(proxy_.connections() - kept.connections_before);
  kept.listened.emplace_back(kept.since_us, std::max(kept.since_us, at_us));
  kept.since_us = 0;
  if (kept.is_config()) return;
  proxy_.store().run([store = proxy_.settings().store.path, instance = proxy_.instance(), at_us, id = kept.terms().id] {
    warn_if(log_window_end(store, instance, at_us, id), store + "/windows.log");
  });
}

void WindowKeeper::save(const Kept& kept) {
  proxy_.store().run([window = kept.window] { window->save(true); });
}

void WindowKeeper::end(Kept& kept, const CaptureWindow::End& how) {
  kept.ended_by = how.by;
  kept.ended_us = how.at_us;
  ++ended_[kept.ended_by];
  stop_listening(kept, how.at_us);
  if (kept.is_config()) kept.config_folder = std::make_shared<std::string>();
  proxy_.store().run([store = proxy_.settings().store.path, window = kept.window, folder = kept.folder,
                      made = kept.config_folder, by = kept.ended_by, at_us = kept.ended_us] {
    if (made) {
      try {
        DebugWindow terms = window->terms();
        *made = keep_window(store, terms);
      } catch (const std::system_error& e) {
        spdlog::warn("window {}: {}", window->terms().id, e.what());
        return;
      }
    }
    std::error_code error;
    end_window(made ? *made : folder, by, at_us, error);
    warn_if(error, made ? *made : folder);
    window->save(true);
    retire_windows(store);
  });
  if (const uint64_t left = kept.window->in_progress(); left > 0)
    spdlog::info("window {} takes no more sessions; {} of it in progress {} recorded to the end", kept.terms().id, left,
                 left == 1 ? "is" : "are");
}

bool WindowKeeper::tell(Kept& kept, bool last) {
  if (proxy_.store().behind() && !last) return false;
  const auto word = std::make_shared<LastWord>();
  const bool answered =
      proxy_.store().run([window = kept.window, made = kept.config_folder, folder = kept.folder, word,
                          store = proxy_.settings().store.path, own = proxy_.instance(), patient = shared(kept), last] {
        if (made && !made->empty()) warn_if(TallyFile(*made, own).save(window->tally()), *made);
        window->save(true);
        if (!made) *word = take_last_word(store, folder, own, patient, last);
      });
  WindowFacts facts = facts_of(kept);
  if (answered && !kept.is_config()) {
    if (word->whose != LastWord::Whose::mine) return word->whose == LastWord::Whose::others;
    if (word->window && !word->window->ended_by.empty()) facts.stored = *word->window;
    facts.in_progress = 0;
  }
  spdlog::info("{}; mail goes on", window_line(facts));
  return true;
}

void WindowKeeper::put() {
  std::vector<CaptureGate::Open> opened;
  for (const Kept& kept : open_)
    if (!kept.is_config()) opened.push_back({kept.window, kept.filter});
  proxy_.set_windows(std::move(opened));
}

void WindowKeeper::heed_others() {
  if (proxy_.store().behind()) return;
  struct Look {
    std::shared_ptr<CaptureWindow> window;
    std::string folder;
    bool shared = false;
    const char* ended_by = nullptr;
    OtherRuns others{};
  };
  const auto looks = std::make_shared<std::vector<Look>>();
  for (const Kept& kept : open_)
    if (!kept.folder.empty() && kept.ended_us == 0)
      looks->push_back({kept.window, kept.folder, kept.settled.has_value()});
  if (looks->empty()) return;
  const bool answered = proxy_.store().run([looks, store = proxy_.settings().store.path, own = proxy_.instance()] {
    for (Look& look : *looks) {
      look.ended_by = window_ended_by(look.folder);
      if (!look.shared) continue;
      const auto stored = read_debug_window(look.folder);
      look.shared = stored.has_value();
      if (stored) look.others = other_runs(store, *stored, own);
    }
  });
  if (!answered) return;
  for (Look& look : *looks) {
    if (look.ended_by != nullptr) look.window->close(look.ended_by);
    if (!look.shared) continue;
    const auto kept = std::find_if(open_.begin(), open_.end(), [&](const Kept& k) { return k.window == look.window; });
    kept->settled = look.others.alive ? std::optional(look.others.settled) : std::nullopt;
    look.window->others(std::move(look.others.tally));
  }
}

void WindowKeeper::look() {
  bool others = take_config();
  heed_others();
  const uint64_t connections = proxy_.connections();
  for (Kept& kept : open_) {
    if (kept.ended_us != 0) continue;
    if (kept.since_us == 0 && proxy_.accepts() && !draining_) begin(kept);
    if (kept.since_us != 0) kept.window->saw(connections - kept.connections_before);
    if (const auto how = kept.window->end()) end(kept, *how);
  }
  const auto ended = std::stable_partition(open_.begin(), open_.end(), [](const Kept& k) { return k.ended_us == 0; });
  if (ended != open_.end()) {
    ending_.insert(ending_.end(), std::make_move_iterator(ended), std::make_move_iterator(open_.end()));
    open_.erase(ended, open_.end());
    put();
    others = true;
  }
  if (others) changed_();
  std::erase_if(ending_, [this](Kept& kept) { return kept.window->in_progress() == 0 && tell(kept); });
}

void WindowKeeper::drain() {
  draining_ = true;
  const int64_t now = unix_us();
  for (Kept& kept : open_) {
    stop_listening(kept, now);
    save(kept);
  }
}

void WindowKeeper::finish() {
  look();
  for (Kept& kept : ending_) tell(kept, true);
  ending_.clear();
  for (Kept& kept : open_) save(kept);
}

Result<std::string> WindowKeeper::put_in_store(DebugWindow& terms) {
  enum State : uint8_t { asked, done, given_up };
  struct Attempt {
    DebugWindow terms;
    std::string folder, error;
    std::atomic<State> state{asked};
  };
  if (proxy_.store().behind()) return Error{kSilent};
  const auto attempt = std::make_shared<Attempt>();
  attempt->terms = terms;
  proxy_.store().run([attempt, store = proxy_.settings().store.path] {
    try {
      attempt->folder = keep_window(store, attempt->terms);
    } catch (const std::system_error& e) {
      attempt->error = e.what();
    }
    // Nobody waits for it any more, and it was refused.
    if (attempt->state.exchange(done) == given_up && !attempt->folder.empty()) remove_window(attempt->folder);
  });
  if (attempt->state.exchange(given_up) != done) return Error{kSilent};
  if (!attempt->error.empty()) return Error{attempt->error};
  terms = attempt->terms;
  return attempt->folder;
}

WindowKeeper::Answer WindowKeeper::open(const WindowRequest& request) {
  using Why = Refusal::Why;
  const auto refuse = [](Why why, std::string message) { return Answer{{}, Refusal{why, std::move(message)}}; };
  if (const auto error = fault_of(request)) return refuse(Why::request, error->message);
  if (draining_) return refuse(Why::busy, "the proxy is stopping");
  if (open_.size() >= kMostOpen)
    return refuse(Why::busy, fmt::format("{} windows are open already: close some", open_.size()));
  const auto filter = filter_of_(request.senders, request.exclude);
  if (!filter) return refuse(Why::request, filter.error());
  DebugWindow terms{"", request.senders, request.exclude, request.sessions, unix_us(), 0, request.reason};
  if (request.for_ms > 0) terms.until_us = terms.opened_us + static_cast<int64_t>(request.for_ms) * 1000;
  Kept kept;
  Result<std::string> folder = put_in_store(terms);
  if (!folder) return refuse(Why::store, fmt::format("the store does not take it: {}", folder.error()));
  kept.folder = std::move(*folder);
  const std::string id = terms.id;
  const SharedCounts::Count count = counts_.begin(number_of(terms));
  kept.window = std::make_shared<CaptureWindow>(std::move(terms), WindowTally(),
                                                std::make_unique<TallyFile>(kept.folder, proxy_.instance()), count);
  kept.filter = *filter;
  spdlog::info("window {} is open: {}, {} sessions, for {}{}", id,
               harmless(fmt::format("{}", fmt::join(request.senders, ", "))),
               request.sessions == 0 ? "any number of" : std::to_string(request.sessions),
               request.for_ms == 0 ? "as long as it takes" : format_duration_ms(request.for_ms),
               request.reason.empty() ? "" : ": " + harmless(request.reason));
  open_.push_back(std::move(kept));
  put();
  changed_();
  if (proxy_.accepts()) begin(open_.back());
  return {window_json(facts_of(open_.back())), std::nullopt};
}

WindowKeeper::Answer WindowKeeper::close(const std::string& id) {
  look();
  const auto it = std::find_if(open_.begin(), open_.end(), [&](const Kept& k) { return k.terms().id == id; });
  if (it == open_.end()) {
    std::vector<std::string> ids;
    for (const Kept& kept : open_) ids.push_back(kept.terms().id);
    return {{},
            Refusal{Refusal::Why::unknown,
                    fmt::format("no window {} is open{}", smtpscope::quoted(std::string_view(id)),
                                ids.empty() ? "; none is" : fmt::format("; open are: {}", fmt::join(ids, ", ")))}};
  }
  it->window->close("hand");
  end(*it, it->window->end().value_or(CaptureWindow::End{"hand", unix_us()}));
  nlohmann::ordered_json closed = window_json(facts_of(*it));
  look();
  return {std::move(closed), std::nullopt};
}

nlohmann::ordered_json WindowKeeper::list() const {
  auto windows = nlohmann::ordered_json::array();
  for (const Kept& kept : open_) windows.push_back(window_json(facts_of(kept)));
  return windows;
}

std::vector<WindowKeeper::Open> WindowKeeper::open_windows() const {
  std::vector<Open> open;
  const int64_t now = unix_us();
  for (const Kept& kept : open_)
    if (kept.ended_us == 0 && !kept.window->over())
      open.push_back({kept.terms(), static_cast<uint64_t>(kept.terms().left_us(now) + 999'999) / 1'000'000});
  return open;
}

std::vector<WindowKeeper::Count> WindowKeeper::counts() const {
  std::vector<Count> counts;
  for (const Kept& kept : open_) counts.push_back({kept.terms().id, kept.window->tally().sessions});
  return counts;
}

WindowFacts WindowKeeper::facts_of(const Kept& kept) const {
  WindowFacts facts;
  facts.now_us = unix_us();
  facts.stored = {kept.terms(), kept.folder, kept.window->tally(), kept.ended_by, kept.ended_us};
  facts.in_progress = kept.window->in_progress();
  if (kept.settled) {
    const uint64_t elsewhere =
        facts.stored.tally.sessions - std::min(facts.stored.tally.sessions, kept.window->admitted());
    facts.in_progress += elsewhere - std::min(elsewhere, *kept.settled);
  }
  facts.live = kept.ended_us == 0;
  facts.listened = kept.listened;
  if (kept.since_us != 0) facts.listened.emplace_back(kept.since_us, facts.now_us);
  facts.store = store_hint();
  return facts;
}

std::string WindowKeeper::store_hint() const {
  const std::string& path = proxy_.settings().store.path;
  return path == Settings().store.path ? "" : path;
}

}  // namespace smtpscope
