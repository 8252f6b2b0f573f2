// The debug windows of a running proxy, on its main loop: opens and closes them, notices when they are over, tells what
// came of them, and keeps them in the store, so that a later run goes on with those that are not over.
//
// The configuration's own window is the proxy's; here it is listed, closed and told of like the others. It begins anew
// with each run and with each configuration that asks for another one; what it was is kept once it has ended.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/result.h"
#include "proxy/relay/proxy.h"
#include "proxy/windows/other_runs.h"
#include "proxy/windows/shared_counts.h"
#include "proxy/windows/window_request.h"
#include "proxy/windows/window_view.h"

namespace smtpscope {

class WindowKeeper {
 public:
  static constexpr size_t kMostOpen = 100;

  /// A filter of these entries, as far as names among them are known by now.
  using FilterOf = std::function<Result<std::shared_ptr<const SenderFilter>>(const std::vector<std::string>& senders,
                                                                             const std::vector<std::string>& exclude)>;

  /// `changed` is called when other windows are open than before.
  WindowKeeper(Proxy& proxy, SharedCounts& counts, FilterOf filter_of, std::function<void()> changed);
  WindowKeeper(const WindowKeeper&) = delete;
  WindowKeeper& operator=(const WindowKeeper&) = delete;

  /// Before the proxy starts: goes on with the windows of earlier runs that are not over.
  void resume();
  /// Entries of windows that are open, besides the configuration's.
  std::vector<std::string> entries() const;
  /// Names among these mean others by now. Gives back those that keep a window from taking anybody.
  std::vector<std::string> refilter();
  /// Once the proxy has started, then a few times a second and after each reload: what is over ends.
  void look();
  /// The proxy takes no more connections. Windows that are not over wait for the next run.
  void drain();
  /// All sessions are over.
  void finish();

  struct Refusal {
    enum class Why : uint8_t { request, busy, store, unknown };
    Why why = Why::request;
    std::string message;
  };
  /// Either has the window as window_json() makes it, or says why not. Opened, it takes whoever connects from now on;
  /// closed, nobody any more.
  struct Answer {
    nlohmann::ordered_json window;
    std::optional<Refusal> refusal;
  };
  Answer open(const WindowRequest& request);
  Answer close(const std::string& id);

  /// Those that are open, the configuration's first.
  nlohmann::ordered_json list() const;

  struct Open {
    DebugWindow terms;
    uint64_t left_s;  ///< of its time; 0: it has no end
  };
  std::vector<Open> open_windows() const;
  /// The configuration's own window, as the last reload has made it, is one of them from now on. True if it is another
  /// than before. look() does it too, but later.
  bool take_config();

  struct Count {
    std::string id;
    uint64_t sessions;
  };
  std::vector<Count> counts() const;
  /// Windows that have ended in this run, of each cause.
  const std::map<std::string, uint64_t>& ended() const { return ended_; }

 private:
  struct Kept {
    std::shared_ptr<CaptureWindow> window;
    std::shared_ptr<const SenderFilter> filter;           ///< none for the configuration's
    std::string folder;                                   ///< empty for the configuration's
    std::shared_ptr<std::string> config_folder{};         ///< the store's thread makes it at its end
    uint64_t connections_before = 0;                      ///< of this run
    std::vector<std::pair<int64_t, int64_t>> listened{};  ///< stretches of earlier runs
    int64_t since_us = 0;                                 ///< in this run; 0: not begun
    std::optional<uint64_t> settled{};  ///< another process lives: sessions of other runs that are over (OtherRuns)
    int64_t ended_us = 0;               ///< 0: not ended
    std::string ended_by{};

    const DebugWindow& terms() const { return window->terms(); }
    bool is_config() const { return terms().id == kConfigWindow; }
  };

  /// From now on the proxy listens for it.
  void begin(Kept& kept);
  void stop_listening(Kept& kept, int64_t at_us);
  void save(const Kept& kept);
  /// Those that another process has ended are over; what it counts is known.
  void heed_others();
  bool shared(const Kept& kept) const { return draining_ || kept.settled; }
  /// Takes it off the proxy, and tells the store.
  void end(Kept& kept, const CaptureWindow::End& how);
  /// True if there is nothing left to tell: it was told, or is for another process to tell.
  bool tell(Kept& kept, bool last = false);
  /// Keeps a new window, and gives back its folder.
  Result<std::string> put_in_store(DebugWindow& terms);
  void put();
  WindowFacts facts_of(const Kept& kept) const;
  std::string store_hint() const;

  Proxy& proxy_;
  SharedCounts& counts_;
  FilterOf filter_of_;
  std::function<void()> changed_;
  std::vector<Kept> open_, ending_;  ///< ending: sessions of it go on
  std::shared_ptr<CaptureWindow> config_;
  std::map<std::string, uint64_t> ended_;
  bool draining_ = false;
};

}  // namespace smtpscope
