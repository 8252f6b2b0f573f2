#include "proxy/service/supervision.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <time.h>

#include <utility>

namespace smtpscope {
namespace {

constexpr uint64_t kStatusMs = 5000;      // a new status is told no sooner
constexpr uint64_t kBeatsATimeLimit = 4;  // so one that is lost does no harm

}  // namespace

Supervision::Supervision(std::vector<const Pulse*> loops, Notifier notifier, std::function<std::string()> status)
    : watch_(std::move(loops)), notifier_(std::move(notifier)), status_(std::move(status)) {}

void Supervision::start(uv_loop_t* loop, std::function<void()> serving) {
  serving_ = std::move(serving);
  timer_ = make_timer(loop, this);
  uv_timer_start(
      timer_.get(),
      [](uv_timer_t* t) {
        if (t->data) static_cast<Supervision*>(t->data)->turn();
      },
      Pulse::kEveryMs / 10, Pulse::kEveryMs);
}

void Supervision::turn() {
  const bool alive = watch_.turn();
  const std::string trouble = watch_.trouble();
  if (!trouble.empty() && !std::exchange(trouble_said_, true)) spdlog::error("{}: it hangs", trouble);
  if (trouble.empty() && std::exchange(trouble_said_, false)) spdlog::warn("all workers run again");
  if (!alive) return;
  if (serving_) {
    const std::function<void()> serving = std::exchange(serving_, nullptr);
    serving();
  }
  const uint64_t now = uv_hrtime() / 1'000'000;
  if (!in_charge_ || now - beat_ms_ < notifier_.watchdog_us() / 1000 / kBeatsATimeLimit) return;
  std::string lines = std::exchange(ready_, true) ? "" : "READY=1\n";
  if (notifier_.watchdog_us() > 0) lines += "WATCHDOG=1\n";
  if (now - status_ms_ >= kStatusMs) {
    std::string status = status_();
    if (status != told_status_) lines += "STATUS=" + status + '\n';
    told_status_ = std::move(status);
    status_ms_ = now;
  }
  beat_ms_ = now;
  if (!lines.empty()) tell(lines);
}

void Supervision::tell(const std::string& lines) {
  if (notifier_.tell(lines)) {
    alone_said_ = false;
  } else if (!std::exchange(alone_said_, true)) {
    spdlog::error("whoever looked after this process (systemd, or the watchdog) is gone; mail goes on");
  }
}

void Supervision::take_charge() { in_charge_ = true; }

void Supervision::reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (in_charge_ && ready_)
    tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\n", now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

void Supervision::reloaded() {
  if (in_charge_ && ready_) tell("READY=1\n");
}

void Supervision::stopping() {
  if (in_charge_) tell("STOPPING=1\nSTATUS=stopping: sessions in progress may finish\n");
}

void Supervision::hand_over(pid_t successor) {
  if (in_charge_) tell(fmt::format("MAINPID={}\nWATCHDOG=1\n", successor));
  in_charge_ = false;
}

}  // namespace smtpscope
