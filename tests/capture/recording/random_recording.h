// Random sessions, written interleaved into one recording, and what a reader has to give back of them.
#pragma once

#include <array>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "capture/recording/pcapng_reader.h"
#include "capture/recording/pcapng_writer.h"

namespace smtpscope::test {

using Random = std::mt19937_64;

inline uint64_t below(Random& random, uint64_t n) { return random() % n; }

/// One record in one line; two records are the same if their lines are.
inline std::string dump(const Record& record) {
  const auto n = [](auto value) { return std::to_string(value) + ' '; };
  const auto leg = [&](const std::optional<LegTransport>& l) {
    return l ? n(l->rtt_us) + n(l->retransmits) + n(l->mss) + n(l->unacked) + n(l->unsent) + n(l->window) +
                   n(l->out_of_order) + n(l->sacked)
             : std::string("- ");
  };
  const auto syn = [&](const std::optional<SynFacts>& s) {
    return s ? n(int{s->ttl}) + n(s->mss) + n(int{s->window_scale}) + n(s->sack) + n(s->timestamps) + n(s->ecn)
             : std::string("- ");
  };
  if (const auto* f = std::get_if<SessionFacts>(&record))
    return "facts " + f->id + ' ' + n(f->icid) + f->instance + ' ' + n(f->started_us) + f->sender.ip + ' ' +
           n(f->sender.port) + f->gateway.ip + ' ' + n(f->gateway.port) + f->sees + ' ' + f->filter + ' ' +
           f->body_policy + ' ' + n(f->body_limit) + syn(f->syn) + f->header +
           (f->via ? f->via->ip + ' ' + n(f->via->port) : "");
  if (const auto* c = std::get_if<GatewayConnect>(&record))
    return "connect " + n(static_cast<int>(c->state)) + n(c->at_us) + n(c->took_us) + c->error + c->icmp.from +
           c->icmp.says;
  if (const auto* c = std::get_if<Chunk>(&record))
    return "chunk " + std::string(name(c->from)) + ' ' + n(c->at_us) + n(c->offset) + std::string(c->bytes);
  if (const auto* h = std::get_if<Hole>(&record))
    return "hole " + std::string(name(h->from)) + ' ' + n(h->at_us) + n(h->offset) + n(h->length) + h->reason;
  if (const auto* c = std::get_if<Closed>(&record))
    return "closed " + std::string(name(c->from)) + ' ' + n(c->at_us) + std::string(name(c->how));
  const auto& e = std::get<SessionEnd>(record);
  std::string evidence;
  for (const PathSample& s : e.samples) evidence += n(s.at_us) + leg(s.sender) + leg(s.gateway);
  if (e.ptr)
    evidence += e.ptr->status + ' ' + e.ptr->name + ' ' + e.ptr->forward_status + ' ' + n(e.ptr->verified) +
                n(e.ptr->name_us) + n(e.ptr->forward_us);
  if (e.ident) evidence += e.ident->outcome + n(e.ident->at_us) + n(e.ident->took_us);
  return evidence + "end " + n(e.at_us) + n(e.sender_stream.bytes) + e.sender_stream.xxh128 + ' ' +
         n(e.gateway_stream.bytes) + e.gateway_stream.xxh128 + ' ' + leg(e.sender_leg) + leg(e.gateway_leg) +
         e.proxy_cause + ' ' + e.capture_loss + ' ' + n(e.interrupted);
}

using Dumps = std::map<std::string, std::vector<std::string>>;  ///< by session id

inline Dumps read_all(std::string_view file, ReadReport* report = nullptr) {
  Dumps dumps;
  std::map<uint64_t, std::string> ids;
  const ReadReport r = read_recording(file, [&](uint64_t flow, const Record& record, ByteRange) {
    if (const auto* facts = std::get_if<SessionFacts>(&record)) ids[flow] = facts->id;
    dumps[ids.at(flow)].push_back(dump(record));
  });
  if (report != nullptr) *report = r;
  return dumps;
}

/// Writes one session step by step, and keeps what was written.
class RandomSession {
 public:
  RandomSession(Random& random, SessionFacts facts) : random_(&random), facts_(std::move(facts)), flow_(facts_) {}

  bool over() const { return step_ > kSteps; }
  const SessionFacts& facts() const { return facts_; }
  const std::vector<std::string>& written() const { return written_; }
  const std::string& bytes(From from) const { return bytes_[from == From::gateway]; }
  bool whole() const { return !holes_; }
  bool holes_allowed = true;

  void step(std::string& out) {
    at_us_ += static_cast<int64_t>(below(*random_, 100'000));
    if (step_ == 0) {
      flow_.open(out, facts_);
      written_.push_back(dump(facts_));
    } else if (step_ == 1) {
      GatewayConnect c{GatewayConnect::State::connected, at_us_, 7, ""};
      if (below(*random_, 8) == 0)
        c.state = GatewayConnect::State::failed, c.error = "ECONNREFUSED", c.icmp = {"192.0.2.254", "port-unreachable"},
        step_ = kSteps - 2;
      flow_.connected(out, c);
      written_.push_back(dump(c));
    } else if (step_ < kSteps - 1) {
      traffic(out);
    } else if (step_ < kSteps) {
      constexpr std::array kSides{From::sender, From::gateway, From::proxy};
      constexpr std::array kHows{CloseHow::fin, CloseHow::rst, CloseHow::timeout};
      const Closed c{kSides[below(*random_, 3)], at_us_, kHows[below(*random_, 3)]};
      flow_.close(out, c);
      written_.push_back(dump(c));
      if (c.how == CloseHow::fin && c.from != From::proxy && below(*random_, 2) == 0) {  // half-closed, then reset
        const Closed reset{c.from, at_us_ + 1, CloseHow::rst};
        flow_.close(out, reset);
        written_.push_back(dump(reset));
      }
    } else {
      SessionEnd e;
      e.at_us = at_us_;
      e.sender_stream = {(*random_)(), "00112233445566778899aabbccddeeff"};
      if (below(*random_, 2)) e.sender_leg = LegTransport{1, 2, 1448};
      if (below(*random_, 2)) e.gateway_leg = LegTransport{UINT32_MAX, 0, 536};
      for (uint64_t i = below(*random_, 3); i > 0; --i)
        e.samples.push_back({static_cast<int64_t>(i), LegTransport{1, 2, 3, 4, 5, 6, 7, 8}, e.gateway_leg});
      if (below(*random_, 2))
        e.ptr = ReverseLookUp{"ok", "mx.\xff\"\x01.example", "servfail", false, 1'200, 35'000'000};
      e.capture_loss = "disk: \"full\" \\ \n\x01 gr\xc3\xbc\xc3\x9f \xff";
      e.interrupted = below(*random_, 2) == 0;
      flow_.end(out, e);
      written_.push_back(dump(e));
    }
    ++step_;
  }

 private:
  static constexpr int kSteps = 14;

  void traffic(std::string& out) {
    const From from = below(*random_, 2) ? From::sender : From::gateway;
    uint64_t& offset = offset_[from == From::gateway];
    if (holes_allowed && below(*random_, 6) == 0) {
      const uint64_t length =
          below(*random_, 3) == 0 ? (uint64_t{1} << 32) + below(*random_, 1U << 31) : 1 + below(*random_, 5000);
      const Hole hole{from, at_us_, offset, length, "body"};
      flow_.hole(out, hole);
      written_.push_back(dump(hole));
      offset += length;
      holes_ = true;
      return;
    }
    std::string bytes(below(*random_, 20) == 0 ? 1 + below(*random_, 140'000) : 1 + below(*random_, 200), '\0');
    for (char& c : bytes) c = static_cast<char>((*random_)());
    flow_.data(out, from, at_us_, bytes);
    bytes_[from == From::gateway] += bytes;
    for (std::string_view rest = bytes; !rest.empty();) {
      const std::string_view part = rest.substr(0, PcapngFlow::kMaxPayload);
      written_.push_back(dump(Chunk{from, at_us_, offset, part}));
      offset += part.size();
      rest.remove_prefix(part.size());
    }
  }

  Random* random_;
  SessionFacts facts_;
  PcapngFlow flow_;
  int step_ = 0;
  int64_t at_us_ = 0;
  bool holes_ = false;
  std::array<uint64_t, 2> offset_{};
  std::array<std::string, 2> bytes_;
  std::vector<std::string> written_;
};

/// IPv4, IPv6 or one of each; `addresses` is how many different address pairs there are, 0: one a session.
inline SessionFacts random_facts(Random& random, uint64_t number, uint64_t addresses) {
  SessionFacts f;
  f.id = "01KB00000000000000000" + std::to_string(10'000 + number);
  f.icid = number;
  f.instance = "01KA0000000000000000000000";
  f.started_us = 1'764'000'000'000'000 + static_cast<int64_t>(number);
  const uint64_t pair = addresses == 0 ? number : below(random, addresses);
  f.sender = {pair % 3 == 0 ? "192.0.2.7" : "2001:db8::7", static_cast<uint16_t>(20'000 + pair)};
  f.gateway = {pair % 3 == 1 ? "2001:db8::25" : "198.51.100.25", 25};
  f.sees = "sender";
  if (number % 5 == 0) f.sees_port = static_cast<uint16_t>(40'000 + number % 1000);
  f.filter = "192.0.2.0/24";
  f.body_limit = number % 2 ? UINT64_MAX : 0;
  if (number % 2 == 0) f.via = Endpoint{"2001:db8::5", 50'000};
  if (number % 5 == 0) f.header = "proxy-v2";
  if (number % 3 == 0) f.syn = SynFacts{255, 1460, number % 2 ? int8_t{-1} : int8_t{14}, true, false, true};
  return f;
}

/// Writes `count` sessions, up to five open at a time.
inline std::vector<RandomSession> write_random(Random& random, std::string& file, uint64_t count, uint64_t addresses,
                                               bool holes = true) {
  std::vector<RandomSession> done, open;
  append_section(file);
  for (uint64_t number = 0; done.size() < count;) {
    if (number < count && open.size() < 5 && below(random, 3) == 0) {
      open.emplace_back(random, random_facts(random, number, addresses));
      open.back().holes_allowed = holes;
      ++number;
    }
    if (open.empty()) continue;
    const size_t i = below(random, open.size());
    open[i].step(file);
    if (below(random, 200) == 0) append_section(file);
    if (!open[i].over()) continue;
    std::swap(open[i], open.back());
    done.push_back(std::move(open.back()));
    open.pop_back();
  }
  return done;
}

}  // namespace smtpscope::test
