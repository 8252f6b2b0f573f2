#include "proxy/net/reverse_dns.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <cstring>
#include <utility>

#include "proxy/net/socket.h"

namespace smtpscope {
namespace {

// What resolvers of gateways do, more or less: three tries, 5 s and then longer.
constexpr int kTimeoutMs = 5000, kTries = 3;

int64_t us_since(uint64_t began_ns) { return static_cast<int64_t>((uv_hrtime() - began_ns) / 1000); }

const char* status_name(int status) {
  switch (status) {
    case ARES_SUCCESS:
      return "ok";
    case ARES_ENOTFOUND:
      return "nxdomain";
    case ARES_ENODATA:
      return "nodata";
    case ARES_ESERVFAIL:
      return "servfail";
    case ARES_EREFUSED:
      return "refused";
    case ARES_ETIMEOUT:
      return "timeout";
    case ARES_ECONNREFUSED:
      return "unreachable";
    default:
      return "error";
  }
}

}  // namespace

struct ReverseDns::LookUp : std::enable_shared_from_this<ReverseDns::LookUp> {
  ReverseDns* owner = nullptr;
  std::string ip;
  uint64_t began_ns = uv_hrtime(), forward_began_ns = 0;
  ReverseLookUp facts;
  bool name_known = false, done = false;
};

ReverseDns::ReverseDns(uv_loop_t* loop, const std::string& servers) : channel_(loop, servers, kTimeoutMs, kTries) {}

ReverseDns::~ReverseDns() {
  // Nobody waits any more for what the end of the channel calls back.
  for (auto& [ip, look_up] : kept_) look_up->owner = nullptr;
}

std::shared_ptr<const ReverseDns::LookUp> ReverseDns::look_up(const std::string& ip) {
  const auto known = kept_.find(ip);
  if (known != kept_.end() && (!known->second->done || uv_hrtime() - known->second->began_ns < kKeepNs))
    return known->second;
  if (under_way_ >= kMaxAtOnce) return nullptr;
  make_room();
  auto look_up = std::make_shared<LookUp>();
  look_up->owner = this;
  look_up->ip = ip;
  kept_[ip] = look_up;
  ++under_way_;
  ask_name(look_up);
  channel_.arm();
  return look_up;
}

ReverseLookUp ReverseDns::facts(const LookUp& look_up) {
  ReverseLookUp facts = look_up.facts;
  if (!look_up.name_known) {
    facts.status = "pending";
    facts.name_us = us_since(look_up.began_ns);
  } else if (!look_up.done) {
    facts.forward_status = "pending";
    facts.forward_us = us_since(look_up.forward_began_ns);
  }
  return facts;
}

void ReverseDns::make_room() {
  if (kept_.size() < kMaxKept) return;
  for (auto it = kept_.begin(); it != kept_.end();) it = it->second->done ? kept_.erase(it) : std::next(it);
}

void ReverseDns::ask_name(const std::shared_ptr<LookUp>& look_up) {
  const auto address = make_address(look_up->ip, 0);
  if (!address) {
    look_up->facts.status = "error";
    look_up->name_known = true;
    return finished(*look_up);
  }
  const bool v6 = address->storage.ss_family == AF_INET6;
  const void* bytes =
      v6 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&address->storage)->sin6_addr)
         : &reinterpret_cast<const sockaddr_in*>(&address->storage)->sin_addr;
  ares_gethostbyaddr(
      channel_.get(), bytes, v6 ? 16 : 4, v6 ? AF_INET6 : AF_INET,
      [](void* arg, int status, int, hostent* host) {
        // The map keeps it while it is under way, and its owner is gone only when that is.
        auto& asked = *static_cast<LookUp*>(arg);
        if (asked.owner == nullptr) return;
        asked.facts.status = status_name(status);
        asked.facts.name_us = us_since(asked.began_ns);
        asked.name_known = true;
        if (status == ARES_SUCCESS && host != nullptr && host->h_name != nullptr) asked.facts.name = host->h_name;
        if (asked.facts.name.empty())
          asked.owner->finished(asked);
        else
          asked.owner->ask_addresses(asked.shared_from_this());
      },
      look_up.get());
}

void ReverseDns::ask_addresses(const std::shared_ptr<LookUp>& look_up) {
  look_up->forward_began_ns = uv_hrtime();
  ares_addrinfo_hints hints{};
  hints.ai_family = look_up->ip.find(':') == std::string::npos ? AF_INET : AF_INET6;
  hints.ai_flags = ARES_AI_NOSORT;
  ares_getaddrinfo(
      channel_.get(), look_up->facts.name.c_str(), nullptr, &hints,
      [](void* arg, int status, int, ares_addrinfo* found) {
        auto& asked = *static_cast<LookUp*>(arg);
        const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned(found, ares_freeaddrinfo);
        if (asked.owner == nullptr) return;
        asked.facts.forward_status = status_name(status);
        asked.facts.forward_us = us_since(asked.forward_began_ns);
        for (const ares_addrinfo_node* node = found != nullptr ? found->nodes : nullptr; node != nullptr;
             node = node->ai_next) {
          Address address;
          address.length = node->ai_addrlen;
          if (address.length > sizeof address.storage) continue;
          std::memcpy(&address.storage, node->ai_addr, address.length);
          if (endpoint_of(address).ip == asked.ip) asked.facts.verified = true;
        }
        asked.owner->finished(asked);
      },
      look_up.get());
}

void ReverseDns::finished(LookUp& look_up) {
  look_up.done = true;
  --under_way_;
}

}  // namespace smtpscope
