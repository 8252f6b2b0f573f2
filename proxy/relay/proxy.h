// The proxy as a whole: opens the listeners, runs the workers, ends them. Used by `run`, by the demo and by tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "capture/store/instance.h"
#include "config/checks.h"
#include "config/settings.h"
#include "proxy/relay/worker.h"

namespace smtpscope {

class Proxy {
 public:
  /// `match` decides whose sessions are captured; `by_name` is the same as a filter, where an entry is a domain. Throws
  /// std::runtime_error with a sentence for the operator if a listener cannot be opened or an address makes no sense.
  Proxy(const Settings& settings, CaptureGate::Match match, std::shared_ptr<const SenderFilter> by_name = nullptr);
  ~Proxy();

  void start();
  /// Sessions that begin from now on follow these settings; those in progress keep theirs. What cannot change live
  /// stays and is told (config/reload.h). Throws std::runtime_error as the constructor does; then nothing has changed.
  std::vector<SettingsIssue> reload(const Settings& settings, CaptureGate::Match match,
                                    std::shared_ptr<const SenderFilter> by_name = nullptr);
  /// The same settings, but their senders' names mean other addresses now.
  void rematch(CaptureGate::Match match, std::shared_ptr<const SenderFilter> by_name);
  const Settings& settings() const { return context_->settings; }
  /// "127.0.0.1:2525" of each listener, with the port that the system chose if it was 0.
  const std::vector<std::string>& addresses() const { return addresses_; }
  /// Accepts no more; sessions may go on.
  void drain();
  /// Ends what is left.
  void end_now(const char* cause);
  bool done() const;
  /// Does it accept connections?
  bool accepts() const { return started_ && !draining_; }
  const HeaderRefusals& refusals() const { return *context_->refusals; }
  RelayMetrics& metrics() const { return *context_->metrics; }
  /// Of each worker, bytes that wait for its recorder.
  std::vector<size_t> recorder_backlogs() const;
  /// Connections of load balancers that were refused so far, for this reason.
  uint64_t refused(HeaderRefusals::Why why) const { return context_->refusals->count(why); }
  void join();

 private:
  void log_window(bool begins);

  std::shared_ptr<const RelayContext> context_;
  bool started_ = false, draining_ = false;
  bool window_open_ = false;  ///< windows.log tells that we listen
  std::vector<std::string> addresses_;
  std::unique_ptr<Instance> instance_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace smtpscope
