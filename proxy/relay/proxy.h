// The proxy as a whole: opens the listeners, runs the workers, ends them. Used by `run`, by the demo and by tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "capture/store/instance.h"
#include "config/checks.h"
#include "config/settings.h"
#include "proxy/net/inherited_sockets.h"
#include "proxy/relay/recorder.h"
#include "proxy/relay/store_thread.h"
#include "proxy/relay/worker.h"

namespace smtpscope {

class Proxy {
 public:
  /// `filter`: whose sessions the configuration's own window takes. Throws std::runtime_error with a sentence for the
  /// operator if a listener cannot be opened or an address makes no sense. Listeners that are among `inherited` are not
  /// opened but taken from there.
  Proxy(const Settings& settings, std::shared_ptr<const SenderFilter> filter, InheritedSockets inherited = {});
  ~Proxy();

  void start();
  /// Sessions that begin from now on follow these settings; those in progress keep theirs. What cannot change live
  /// stays and is told (config/reload.h). Throws std::runtime_error as the constructor does; then nothing has changed.
  std::vector<SettingsIssue> reload(const Settings& settings, std::shared_ptr<const SenderFilter> filter);
  /// The configuration's own window takes others from now on: names among its senders mean others.
  void set_filter(std::shared_ptr<const SenderFilter> filter);
  /// Valid until the next reload().
  const Settings& settings() const { return *context_->settings; }
  const std::string& instance() const { return context_->instance; }
  /// The configuration's own window; null if it names no senders.
  const std::shared_ptr<CaptureWindow>& config_window() const { return config_.window; }
  /// Sessions that are accepted from now on are captured in these windows besides the configuration's.
  void set_windows(std::vector<CaptureGate::Open> opened);
  /// Connections that it has taken so far, captured or not.
  uint64_t connections() const { return context_->gate->connections(); }
  /// "127.0.0.1:2525" of each listener, with the port that the system chose if it was 0.
  const std::vector<std::string>& addresses() const { return addresses_; }
  /// Accepts no more; sessions may go on.
  void drain();
  /// Ends what is left.
  void end_now(const char* cause);
  bool done() const;
  /// Does it accept connections?
  bool accepts() const { return started_ && !draining_; }
  /// All that it listens on, to be handed over to another process; none once it drains. They stay its own.
  std::vector<int> listening_sockets() const;
  /// Of each worker's loop.
  std::vector<const Pulse*> pulses() const;
  const HeaderRefusals& refusals() const { return *context_->refusals; }
  RelayMetrics& metrics() const { return *context_->metrics; }
  /// For what the main loop has to do in the store while the proxy runs.
  StoreThread& store() { return store_; }
  /// Bytes that wait for each recorder.
  std::vector<size_t> recorder_backlogs() const;
  /// Connections of load balancers that were refused so far, for this reason.
  uint64_t refused(HeaderRefusals::Why why) const { return context_->refusals->count(why); }
  /// Once it drains or ends: waits for the loops, and until all transcripts are written.
  void join();

 private:
  void log_window(bool begins);
  void put_windows(RelayContext& context) const;
  void replace_windows();

  std::shared_ptr<const RelayContext> context_;
  CaptureGate::Open config_;
  std::vector<CaptureGate::Open> opened_;
  bool started_ = false, draining_ = false;
  bool window_open_ = false;  ///< windows.log tells that we listen
  std::vector<std::string> addresses_;
  std::unique_ptr<Instance> instance_;
  StoreThread store_;
  std::vector<std::unique_ptr<Recorder>> recorders_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace smtpscope
