#include "proxy/commands/supervisor.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <csignal>

#include "capture/transcript/text_page.h"
#include "config/units.h"
#include "proxy/service/invocation.h"

namespace smtpscope {

Supervisor::Supervisor(Proxy& proxy, ControlPlane& control, Invocation invocation, int counts, Succession succession)
    : proxy_(proxy),
      control_(control),
      supervision_(proxy.pulses(), Notifier::from_environment(), [this] { return status(); }),
      handover_(&loop_, std::move(invocation)),
      counts_(counts),
      succession_(std::move(succession)) {}

int Supervisor::run() {
  uv_loop_init(&loop_);
  for (uv_signal_t* signal : {&term_, &interrupt_, &hang_up_, &upgrade_}) {
    uv_signal_init(&loop_, signal);
    signal->data = this;
  }
  uv_timer_init(&loop_, &timer_);
  timer_.data = this;
  const auto on_stop = [](uv_signal_t* s, int) { static_cast<Supervisor*>(s->data)->on_stop(); };
  uv_signal_start(&term_, on_stop, SIGTERM);
  uv_signal_start(&interrupt_, on_stop, SIGINT);
  uv_signal_start(
      &hang_up_,
      [](uv_signal_t* s, int) {
        auto& self = *static_cast<Supervisor*>(s->data);
        if (self.draining_) return;
        self.supervision_.reloading();
        self.control_.reload();
        self.supervision_.reloaded();
      },
      SIGHUP);
  uv_signal_start(
      &upgrade_, [](uv_signal_t* s, int) { static_cast<Supervisor*>(s->data)->on_upgrade(); }, SIGUSR2);
  if (begin_) begin_(&loop_);
  hold_requests(false);
  proxy_.start();
  control_.begin(&loop_, [this] { return supervision_.trouble(); });
  if (!succession_.under_way()) supervision_.take_charge();
  supervision_.start(&loop_, [this] { on_serving(); });
  uv_run(&loop_, UV_RUN_DEFAULT);
  proxy_.join();
  return uv_loop_close(&loop_);
}

std::string Supervisor::status() const {
  const RelayMetrics& m = proxy_.metrics();
  return fmt::format("{} in progress, {} since the start, {} of them recorded; {}",
                     counted(m.sessions_begun - m.sessions_ended, "session"), m.sessions_begun.load(),
                     m.captured_begun.load(), control_.windows_in_short());
}

/// All workers run.
void Supervisor::on_serving() {
  if (!succession_.under_way()) return;
  succession_.serves(&loop_, [this](bool in_charge) {
    if (in_charge || !supervision_.has_manager()) {
      supervision_.take_charge();
      return;
    }
    spdlog::error(
        "the process that this one was to replace has ended before it handed over; this one ends, too, and "
        "whoever looks after it starts another");
    on_stop();
  });
}

void Supervisor::on_upgrade() {
  if (draining_ || handover_.under_way()) {
    spdlog::warn("no upgrade: {}", draining_ ? "this process is about to end"
                                             : fmt::format("process {} is starting already", handover_.successor()));
    return;
  }
  std::vector<int> sockets = proxy_.listening_sockets();
  if (const int fd = control_.address_socket(); fd >= 0) sockets.push_back(fd);
  const std::string why = handover_.begin(
      sockets, counts_, [this] { on_upgraded(); },
      [this](const std::string& how) {
        control_.hold(false);
        spdlog::error("no upgrade: the new process {} {}; this one goes on as before", handover_.successor(), how);
      });
  if (!why.empty()) {
    spdlog::error("no upgrade: {}; this process goes on as before", why);
    return;
  }
  control_.hold(true);
  spdlog::info("upgrade: process {} is starting", handover_.successor());
}

void Supervisor::on_upgraded() {
  if (draining_) return;
  supervision_.hand_over(handover_.successor());
  handover_.yield();
  control_.step_aside();
  replaced_ = true;
  const uint64_t limit_ms = proxy_.settings().upgrade_drain_ms;
  spdlog::info("upgrade: process {} has taken over; sessions in progress have {} to finish here", handover_.successor(),
               limit_ms == 0 ? "all the time that they need" : format_duration_ms(limit_ms));
  drain(limit_ms == 0 ? std::nullopt : std::optional(limit_ms));
}

void Supervisor::drain(std::optional<uint64_t> limit_ms) {
  draining_ = true;
  drain_ms_ = limit_ms;
  began_ = uv_now(&loop_);
  control_.drain();
  proxy_.drain();
  uv_timer_start(
      &timer_, [](uv_timer_t* t) { static_cast<Supervisor*>(t->data)->on_timer(); }, 5, 20);
}

void Supervisor::on_stop() {
  if (draining_ && !std::exchange(replaced_, false)) {
    spdlog::warn("second signal: ending all sessions now");
    proxy_.end_now("stopped");
    return;
  }
  handover_.cancel();
  supervision_.stopping();
  const uint64_t limit_ms = proxy_.settings().drain_ms;
  spdlog::info("stopping: no new sessions; those in progress have {} to finish", format_duration_ms(limit_ms));
  drain(limit_ms);
}

void Supervisor::on_timer() {
  const bool late = drain_ms_ && uv_now(&loop_) - began_ >= *drain_ms_;
  if (late && !std::exchange(forced_, true)) proxy_.end_now("drain");
  if (!proxy_.done()) return;
  control_.end();
  supervision_.close();
  handover_.cancel();
  succession_.close();
  if (end_) end_();
  for (uv_handle_t* handle : {reinterpret_cast<uv_handle_t*>(&term_), reinterpret_cast<uv_handle_t*>(&interrupt_),
                              reinterpret_cast<uv_handle_t*>(&hang_up_), reinterpret_cast<uv_handle_t*>(&upgrade_),
                              reinterpret_cast<uv_handle_t*>(&timer_)})
    uv_close(handle, nullptr);
}

}  // namespace smtpscope
