#include "proxy/net/reverse_dns.h"

#include <algorithm>

namespace smtpscope {
namespace {

// What resolvers of gateways do, more or less: three tries, 5 s and then longer.
constexpr int kTimeoutMs = 5000, kTries = 3;
// A name server that has not said anything to anybody for so long is none: what it holds of the root it has at hand.
constexpr int64_t kLifeUs = 2'000'000;

int64_t us_since(uint64_t began_ns) { return static_cast<int64_t>((uv_hrtime() - began_ns) / 1000); }

}  // namespace

struct ReverseDns::LookUp {
  std::string ip;
  uint64_t began_ns = uv_hrtime(), forward_began_ns = 0;
  ReverseLookUp facts;
  bool name_known = false, done = false;
  std::shared_ptr<const uint64_t> heard_ns;  ///< when a name server answered anything, last

  bool unheard() const { return *heard_ns < began_ns; }
};

ReverseDns::ReverseDns(uv_loop_t* loop, const std::string& servers)
    : channel_(loop, servers, kTimeoutMs, kTries), life_channel_(loop, servers, kTimeoutMs, kTries) {}

std::shared_ptr<const ReverseDns::LookUp> ReverseDns::look_up(const std::string& ip) {
  const auto known = kept_.find(ip);
  if (known != kept_.end() && (!known->second->done || uv_hrtime() - known->second->began_ns < kKeepNs))
    return known->second;
  if (under_way_ >= kMaxAtOnce) return nullptr;
  make_room();
  auto look_up = std::make_shared<LookUp>();
  look_up->ip = ip;
  look_up->heard_ns = heard_ns_;
  kept_[ip] = look_up;
  ++under_way_;
  ask_name(look_up);
  ask_for_life();
  return look_up;
}

ReverseLookUp ReverseDns::facts(const LookUp& look_up) {
  ReverseLookUp facts = look_up.facts;
  if (!look_up.name_known) {
    facts.name_us = us_since(look_up.began_ns);
    facts.status = look_up.unheard() && facts.name_us >= kLifeUs ? "unreachable" : "pending";
  } else if (!look_up.done) {
    facts.forward_status = "pending";
    facts.forward_us = us_since(look_up.forward_began_ns);
  }
  return facts;
}

bool ReverseDns::name_known(const LookUp& look_up) { return look_up.name_known; }

void ReverseDns::make_room() {
  if (kept_.size() < kMaxKept) return;
  for (auto it = kept_.begin(); it != kept_.end();) it = it->second->done ? kept_.erase(it) : std::next(it);
}

void ReverseDns::ask_for_life() {
  if (asking_for_life_) return;
  asking_for_life_ = true;
  life_channel_.ask({"", DnsType::a}, [this](const DnsAnswer& answer) {
    asking_for_life_ = false;
    hear(answer);
  });
}

void ReverseDns::hear(const DnsAnswer& answer) {
  const bool failed = answer.status == DnsAnswer::Status::failed;
  if (!failed || answer.failure_word == "servfail" || answer.failure_word == "refused") *heard_ns_ = uv_hrtime();
}

void ReverseDns::ask_name(const std::shared_ptr<LookUp>& look_up) {
  const auto address = IpAddress::parse(look_up->ip);
  if (!address) {
    look_up->facts.status = "error";
    look_up->name_known = true;
    return finished(*look_up);
  }
  channel_.ask({reverse_name(*address), DnsType::ptr}, [this, look_up, ip = *address](const DnsAnswer& answer) {
    hear(answer);
    ReverseLookUp& facts = look_up->facts;
    facts.status = answer.word() == "timeout" && look_up->unheard() ? "unreachable" : answer.word();
    facts.name_us = us_since(look_up->began_ns);
    look_up->name_known = true;
    if (answer.names.empty()) return finished(*look_up);
    facts.name = answer.names[0];
    ask_addresses(look_up, ip);
  });
}

void ReverseDns::ask_addresses(const std::shared_ptr<LookUp>& look_up, const IpAddress& ip) {
  look_up->forward_began_ns = uv_hrtime();
  const DnsType type = ip.is_v4() ? DnsType::a : DnsType::aaaa;
  channel_.ask({look_up->facts.name, type}, [this, look_up, ip](const DnsAnswer& answer) {
    hear(answer);
    look_up->facts.forward_status = answer.word();
    look_up->facts.forward_us = us_since(look_up->forward_began_ns);
    look_up->facts.verified = std::find(answer.addresses.begin(), answer.addresses.end(), ip) != answer.addresses.end();
    finished(*look_up);
  });
}

void ReverseDns::finished(LookUp& look_up) {
  look_up.done = true;
  --under_way_;
}

}  // namespace smtpscope
