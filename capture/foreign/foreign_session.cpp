#include "capture/foreign/foreign_session.h"

#include <algorithm>
#include <string>

namespace smtpscope {
namespace {

class Hash {
 public:
  explicit Hash(uint64_t seed) : hash_(0xcbf29ce484222325 ^ seed) {}
  Hash& add(uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) byte(static_cast<uint8_t>(value >> shift));
    return *this;
  }
  Hash& add(const TcpEnd& end) {
    for (const uint8_t each : end.ip) byte(each);
    return add(uint64_t{end.port});
  }
  /// FNV-1a, then MurmurHash3's finalizer.
  uint64_t done() const {
    uint64_t hash = hash_;
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
    return hash ^ (hash >> 33);
  }

 private:
  void byte(uint8_t value) { hash_ = (hash_ ^ value) * 0x100000001b3; }
  uint64_t hash_;
};

/// A ULID (instance.h) whose lower 80 bits are no random ones.
std::string ulid(int64_t unix_us, uint64_t high, uint64_t low) {
  constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::string text(26, '0');
  auto ms = static_cast<uint64_t>(std::max<int64_t>(unix_us, 0)) / 1000;
  for (size_t i = 10; i-- > 0; ms >>= 5) text[i] = kCrockford[ms & 31];
  for (size_t i = 18; i-- > 10; high >>= 5) text[i] = kCrockford[high & 31];
  for (size_t i = 26; i-- > 18; low >>= 5) text[i] = kCrockford[low & 31];
  return text;
}

}  // namespace

SessionFacts foreign_facts(const ForeignConnection& c) {
  const auto hash = [&](uint64_t seed) {
    return Hash(seed)
        .add(c.sender)
        .add(c.gateway)
        .add(static_cast<uint64_t>(c.started_us))
        .add(uint64_t{c.sender_sequence} << 32 | c.gateway_sequence)
        .done();
  };
  SessionFacts facts;
  facts.id = ulid(c.started_us, hash(1), hash(2));
  facts.icid = c.number;
  facts.started_us = c.started_us;
  facts.sender = {address_text(c.sender.ip), c.sender.port};
  facts.gateway = {address_text(c.gateway.ip), c.gateway.port};
  facts.begins_late = c.joined;
  return facts;
}

}  // namespace smtpscope
