#include "proxy/commands/supervisor.h"

#include <spdlog/spdlog.h>

#include <csignal>
#include <exception>
#include <utility>

#include "config/units.h"
#include "proxy/control/control.h"
#include "proxy/control/metrics.h"
#include "proxy/version.h"

namespace smtpscope {

Supervisor::Supervisor(Proxy& proxy, std::function<void()> reload, Fd listener, std::string token)
    : proxy_(proxy), reload_(std::move(reload)), listener_(std::move(listener)), token_(std::move(token)) {}

namespace {

void mask_hang_up(int how) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(how, &signals, nullptr);
}

}  // namespace

void Supervisor::hold_reloads() { mask_hang_up(SIG_BLOCK); }

int Supervisor::run() {
  uv_loop_init(&loop_);
  for (uv_signal_t* signal : {&term_, &interrupt_, &hang_up_}) {
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
        if (auto& self = *static_cast<Supervisor*>(s->data); !self.draining_) self.reload_();
      },
      SIGHUP);
  if (begin_) begin_(&loop_);
  mask_hang_up(SIG_UNBLOCK);
  proxy_.start();
  if (listener_) serve();
  uv_run(&loop_, UV_RUN_DEFAULT);
  proxy_.join();
  return uv_loop_close(&loop_);
}

void Supervisor::serve() {
  try {
    server_ = std::make_unique<HttpServer>(&loop_, std::move(listener_),
                                           [this](const HttpRequest& request) { return respond(request); });
  } catch (const std::exception& e) {
    spdlog::error("{}; mail goes on without it", e.what());
  }
}

HttpResponse Supervisor::respond(const HttpRequest& request) const {
  return control_response(request, token_, proxy_.accepts(), [this] {
    return metrics_text({proxy_.metrics(), proxy_.refusals(), proxy_.recorder_backlogs(), version()});
  });
}

void Supervisor::on_stop() {
  if (draining_) {
    spdlog::warn("second signal: ending all sessions now");
    proxy_.end_now("stopped");
    return;
  }
  draining_ = true;
  drain_ms_ = proxy_.settings().drain_ms;
  began_ = uv_now(&loop_);
  spdlog::info("stopping: no new sessions; those in progress have {} to finish", format_duration_ms(drain_ms_));
  proxy_.drain();
  uv_timer_start(
      &timer_, [](uv_timer_t* t) { static_cast<Supervisor*>(t->data)->on_timer(); }, 5, 20);
}

void Supervisor::on_timer() {
  if (!forced_ && uv_now(&loop_) - began_ >= drain_ms_) {
    forced_ = true;
    proxy_.end_now("drain");
  }
  if (!proxy_.done()) return;
  server_.reset();
  if (end_) end_();
  for (uv_handle_t* handle : {reinterpret_cast<uv_handle_t*>(&term_), reinterpret_cast<uv_handle_t*>(&interrupt_),
                              reinterpret_cast<uv_handle_t*>(&hang_up_), reinterpret_cast<uv_handle_t*>(&timer_)})
    uv_close(handle, nullptr);
}

}  // namespace smtpscope
