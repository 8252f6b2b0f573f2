#include "proxy/names/confirmed_names.h"

#include <algorithm>
#include <utility>

namespace smtpscope {
namespace {

constexpr int kTimeoutMs = 2000, kTries = 2;  // 6 s for each server
constexpr uint64_t kTickMs = 250;

}  // namespace

struct ConfirmedNameLookUps::LookUp {
  IpAddress ip;
  uint64_t asked_ms = 0, done_ms = 0;
  ConfirmedNames found;
  size_t unanswered = 0;
  bool failed = false, begun = false, done = false;
};

ConfirmedNameLookUps::ConfirmedNameLookUps(uv_loop_t* loop, const std::string& servers, Told told)
    : loop_(loop),
      told_(std::move(told)),
      timer_(make_timer(loop, this)),
      channel_(loop, servers, kTimeoutMs, kTries) {}

ConfirmedNameLookUps::~ConfirmedNameLookUps() = default;

const ConfirmedNames* ConfirmedNameLookUps::known(const IpAddress& ip) const {
  const auto it = look_ups_.find(ip);
  if (it == look_ups_.end() || !it->second->done) return nullptr;
  const LookUp& look_up = *it->second;
  return uv_now(loop_) - look_up.done_ms < (look_up.found.all ? kKeepMs : kKeepFailedMs) ? &look_up.found : nullptr;
}

void ConfirmedNameLookUps::ask(const IpAddress& ip) {
  if (const ConfirmedNames* names = known(ip)) return told_(ip, *names);
  if (const auto it = look_ups_.find(ip); it != look_ups_.end() && !it->second->done) return;  // will be told
  if (look_ups_.size() >= kMaxKept) std::erase_if(look_ups_, [](const auto& each) { return each.second->done; });
  auto look_up = std::make_shared<LookUp>();
  look_up->ip = ip;
  look_up->asked_ms = uv_now(loop_);
  look_ups_[ip] = look_up;
  if (timer_ && !uv_is_active(reinterpret_cast<uv_handle_t*>(timer_.get())))
    uv_timer_start(
        timer_.get(),
        [](uv_timer_t* t) {
          if (t->data) static_cast<ConfirmedNameLookUps*>(t->data)->on_tick();
        },
        kTickMs, kTickMs);
  if (under_way_ < kMaxAtOnce)
    begin(look_up);
  else
    waiting_.push_back(look_up);
}

void ConfirmedNameLookUps::begin(const std::shared_ptr<LookUp>& look_up) {
  look_up->begun = true;
  ++under_way_;
  channel_.ask({reverse_name(look_up->ip), DnsType::ptr},
               [this, look_up](const DnsAnswer& names) { ask_addresses(look_up, names); });
}

void ConfirmedNameLookUps::ask_addresses(const std::shared_ptr<LookUp>& look_up, const DnsAnswer& names) {
  if (look_up->done) return;  // too late
  look_up->failed = names.status == DnsAnswer::Status::failed;
  const size_t count = std::min(names.names.size(), kMaxNames);
  look_up->unanswered = count;
  if (count == 0) return finish(*look_up, !look_up->failed);
  for (size_t i = 0; i < count; ++i) {
    const std::string& name = names.names[i];
    channel_.ask(
        {name, look_up->ip.is_v4() ? DnsType::a : DnsType::aaaa}, [this, look_up, name](const DnsAnswer& answer) {
          if (look_up->done) return;
          look_up->failed = look_up->failed || answer.status == DnsAnswer::Status::failed;
          if (std::find(answer.addresses.begin(), answer.addresses.end(), look_up->ip) != answer.addresses.end())
            look_up->found.names.push_back(name);
          if (--look_up->unanswered == 0) finish(*look_up, !look_up->failed);
        });
  }
}

void ConfirmedNameLookUps::finish(LookUp& look_up, bool all) {
  if (look_up.begun) --under_way_;
  look_up.done = true;
  look_up.done_ms = uv_now(loop_);
  look_up.found.all = all;
  const ConfirmedNames found = look_up.found;
  told_(look_up.ip, found);
}

void ConfirmedNameLookUps::on_tick() {
  const uint64_t now = uv_now(loop_);
  std::vector<std::shared_ptr<LookUp>> late;
  for (const auto& [ip, look_up] : look_ups_)
    if (!look_up->done && now - look_up->asked_ms >= kLimitMs) late.push_back(look_up);
  for (const auto& look_up : late) finish(*look_up, false);
  while (!waiting_.empty() && under_way_ < kMaxAtOnce) {
    const auto next = std::move(waiting_.front());
    waiting_.pop_front();
    if (!next->done) begin(next);
  }
  if (under_way_ == 0 && waiting_.empty() && timer_) uv_timer_stop(timer_.get());
}

}  // namespace smtpscope
