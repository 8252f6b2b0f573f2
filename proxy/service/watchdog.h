// `smtpscope run --watchdog`: what systemd does for a service with WatchdogSec= and Restart=, where there is no
// systemd. The process becomes the watchdog and runs the proxy as its child, which tells it by the protocol of
// sd_notify(3) that it lives. A child that is silent for kSilentMs is killed (SIGKILL also ends a process that was
// stopped) and a new one is started; so is one that crashed. In TPROXY mode mail passes by as soon as it is dead.
//
// It does nothing else: no thread, no file, no connection. SIGTERM, SIGINT, SIGHUP and SIGUSR2 are handed on. A child
// that ends before it ever served ends the watchdog too, with its exit code: what is wrong then is not mended by trying
// again. The pieces that decide are apart from those that act, for tests.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "proxy/net/socket.h"
#include "proxy/service/invocation.h"

namespace smtpscope {

/// How long the watched process has been silent, counted in turns of the watchdog itself: time that the watchdog did
/// not run either (a host that starves all of us, or was suspended) does not count.
class SilentTime {
 public:
  static constexpr uint64_t kTurnMs = 250, kMostATurnMs = 2 * kTurnMs;

  void broken() { silent_ms_ = 0; }
  /// After a turn that took so long by the clock; a very late one counts no more than kMostATurnMs.
  void turn(uint64_t took_ms) { silent_ms_ += took_ms < kMostATurnMs ? took_ms : kMostATurnMs; }
  uint64_t ms() const { return silent_ms_; }

 private:
  uint64_t silent_ms_ = 0;
};

/// How long to wait before the next start: not at all after a life of kLongMs, else longer each time.
class Backoff {
 public:
  static constexpr uint64_t kLongMs = 10'000;

  /// A process that served so long has ended; milliseconds to wait.
  uint64_t next_ms(uint64_t lived_ms);
  /// Short lives in a row.
  unsigned in_a_row() const { return in_a_row_; }

 private:
  static constexpr std::array<uint64_t, 8> kWaitMs{0, 250, 500, 1000, 2000, 5000, 10'000, 30'000};
  unsigned in_a_row_ = 0;
};

/// What a message of the child says.
struct ServiceNews {
  bool ready = false, alive = false, stopping = false;
  pid_t main = 0;  ///< another process is to be watched from now on; 0: none
};
ServiceNews parse_news(std::string_view message);

class Watchdog {
 public:
  static constexpr uint64_t kSilentMs = 3000;
  /// A proxy that is about to end waits for its disk.
  static constexpr uint64_t kSilentAtEndMs = 90'000;

  /// Throws std::runtime_error if the system refuses.
  explicit Watchdog(Invocation invocation);
  /// Returns when all is over, with what the process is to end with.
  int run();

 private:
  void start();
  void hear();
  void reap();
  void on_end(int status);
  void on_signal(int number);
  void judge(uint64_t took_ms);
  void send_all(int number);

  Invocation invocation_;
  Fd socket_, signals_;
  std::vector<std::string> arguments_, environment_;
  pid_t child_ = 0;             ///< 0: none, between two lives
  std::vector<pid_t> drained_;  ///< that an upgrade has replaced, and that still finish their sessions
  SilentTime silence_;
  Backoff backoff_;
  uint64_t ready_at_ms_ = 0;  ///< when it began to serve; 0: it has not yet
  uint64_t start_at_ms_ = 0;  ///< when the next one is due
  bool ever_ready_ = false, stop_asked_ = false, stopping_ = false, killed_ = false, over_ = false;
  int exit_code_ = 0;
};

}  // namespace smtpscope
