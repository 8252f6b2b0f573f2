#include "proxy/relay/capture_window.h"
#include "proxy/clock.h"

#include <uv.h>

#include <algorithm>

namespace smtpscope {
CaptureWindow::CaptureWindow(DebugWindow terms, WindowTally before, std::unique_ptr<TallyFile> file,
                             std::shared_ptr<std::atomic<uint64_t>> taken)
    : terms_(std::move(terms)),
      taken_(taken ? std::move(taken) : std::make_shared<std::atomic<uint64_t>>(before.sessions)),
      deadline_ns_(terms_.until_us == 0 ? 0 : uv_hrtime() + static_cast<uint64_t>(terms_.left_us(unix_us())) * 1000),
      others_(std::move(before)),
      file_(std::move(file)) {
  for (uint32_t i = 0; i < std::min(terms_.senders.size(), kMostJudged); ++i)
    if (auto spec = parse_sender_spec(terms_.senders[i]); spec && !spec->needs_dns() && !others_.came.contains(i))
      judged_.emplace_back(i, std::move(*spec));
}

bool CaptureWindow::timed_out() const { return deadline_ns_ != 0 && uv_hrtime() >= deadline_ns_; }

bool CaptureWindow::over() const { return closed_by_.load() != nullptr || timed_out() || full(); }

bool CaptureWindow::enter() {
  if (over()) return false;
  admitted_.fetch_add(1);  // before it is taken: what is full has no session that nobody knows of
  uint64_t count = taken_->load();
  do {
    if (terms_.sessions != 0 && count >= terms_.sessions) {
      admitted_.fetch_sub(1);
      return false;
    }
  } while (!taken_->compare_exchange_weak(count, count + 1));
  if (count + 1 == terms_.sessions) full_us_ = unix_us();
  return true;
}

void CaptureWindow::close(const char* by) {
  if (over()) return;
  closed_us_ = unix_us();
  closed_by_ = by;
}

std::optional<CaptureWindow::End> CaptureWindow::end() const {
  if (const char* by = closed_by_.load()) return End{by, closed_us_.load()};
  if (full()) {
    const int64_t full_us = full_us_.load();  // 0: a worker is just about to say, or the last one came elsewhere
    return End{"count", full_us != 0 ? full_us : unix_us()};
  }
  if (!timed_out()) return std::nullopt;
  constexpr int64_t kClocksDiffer = 1'000'000;  // the one of the deadline, and the wall's
  const int64_t now_us = unix_us();
  return End{"time", now_us + kClocksDiffer < terms_.until_us ? now_us : terms_.until_us};
}

void CaptureWindow::saw(uint64_t connections) {
  const std::lock_guard lock(mutex_);
  tally_.connections = connections;
}

void CaptureWindow::others(WindowTally tally) {
  const std::lock_guard lock(mutex_);
  others_ = std::move(tally);
}

WindowTally CaptureWindow::tally() const {
  const std::lock_guard lock(mutex_);
  WindowTally all = others_;
  all.add(tally_);
  all.sessions = taken_->load();
  return all;
}

uint64_t CaptureWindow::in_progress() const {
  const std::lock_guard lock(mutex_);
  return admitted_.load() - tally_.ended();
}

void CaptureWindow::began(const std::string& ip) {
  const std::lock_guard lock(mutex_);
  ++tally_.sessions;
  dirty_ = true;
  if (judged_.empty()) return;
  const auto address = IpAddress::parse(ip);
  if (!address) return;
  std::erase_if(judged_, [&](const auto& entry) {
    const SenderSpec& spec = entry.second;
    const bool in = spec.kind == SenderSpec::Kind::any ||
                    (spec.first.is_v4() == address->is_v4() && !(*address < spec.first) && !(spec.last < *address));
    if (in) tally_.came.insert(entry.first);
    return in;
  });
}

void CaptureWindow::ended(const std::string& id, Verdict verdict, const std::string& code) {
  const std::lock_guard lock(mutex_);
  ++tally_.verdicts[static_cast<size_t>(verdict)];
  tally_.newest = std::max(tally_.newest, id);
  if (!code.empty()) {
    WindowTally::Code& of = tally_.codes[code];
    ++of.sessions;
    of.newest = std::max(of.newest, id);
  }
  dirty_ = true;
}

CaptureWindow::Saved CaptureWindow::save(bool anyway) {
  const std::lock_guard writing(file_mutex_);
  if (!file_) return {};
  WindowTally now;
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(dirty_, false) && !anyway) return {};
    now = tally_;
    now.sessions = std::max(now.sessions, admitted_.load());  // none that is on its way to the recorder is left out
  }
  const std::error_code error = file_->save(now);
  if (error) {
    const std::lock_guard lock(mutex_);
    dirty_ = true;
  }
  const bool known = std::exchange(failing_, static_cast<bool>(error));
  return {!error, known ? std::error_code() : error};
}

}  // namespace smtpscope
