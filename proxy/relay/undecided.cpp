#include "proxy/relay/undecided.h"

#include <utility>

#include "proxy/relay/worker.h"

namespace smtpscope {

Undecided::Undecided(Worker& worker, const std::string& resolver)
    : worker_(worker),
      resolver_(resolver),
      look_ups_(worker.loop(), resolver,
                [this](const IpAddress& ip, const ConfirmedNames& names) { told(ip, names); }) {}

Undecided::~Undecided() = default;

void Undecided::add(const IpAddress& ip, uint64_t number, CaptureSession* capture,
                    std::shared_ptr<const RelayContext> context) {
  waiting_[ip].push_back({number, capture, std::move(context)});
  ++count_;
  look_ups_.ask(ip);
}

void Undecided::told(const IpAddress& ip, const ConfirmedNames& names) {
  auto waiting = waiting_.extract(ip);
  if (waiting.empty()) return;
  count_ -= waiting.mapped().size();
  for (const Waiting& each : waiting.mapped()) worker_.decide(each.number, each.capture, ip, names, *each.context);
  worker_.may_be_done();
}

void Undecided::end() {
  const auto waiting = std::exchange(waiting_, {});
  count_ = 0;
  for (const auto& [ip, sessions] : waiting)
    for (const Waiting& each : sessions) worker_.decide(each.number, each.capture, ip, {}, *each.context);
}

}  // namespace smtpscope
