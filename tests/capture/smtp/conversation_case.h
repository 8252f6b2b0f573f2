// A conversation as a list of turns, run whole, byte by byte and at random cuts; all runs must give one and the same
// dump.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "capture/smtp/conversation.h"
#include "capture/smtp/syntax.h"
#include "tests/catch.h"

namespace smtpscope::test {

struct Turn {
  From from;
  std::string bytes;
  size_t lost = 0;  ///< instead: so many bytes that nobody saw
};
inline Turn S(std::string bytes) { return {From::sender, std::move(bytes)}; }
inline Turn G(std::string bytes) { return {From::gateway, std::move(bytes)}; }
inline Turn lost(From from, size_t bytes) { return {from, "", bytes}; }

inline std::string dump(const Conversation& c) {
  std::string out;
  for (size_t i = 0; i < c.events().size(); ++i) {
    const Event& e = c.events()[i];
    out += std::to_string(i) + ' ' + std::string(name(e.kind)) + ' ' + std::string(name(e.from)) + ' ' +
           std::string(name(e.phase));
    if (e.kind == Event::Kind::reply)
      out += " code=" + std::to_string(e.code) + " answers=" + std::to_string(e.answers);
    if (e.kind == Event::Kind::command) out += " verb=" + std::string(name(e.verb));
    if (e.kind == Event::Kind::body) out += " lines=" + std::to_string(e.lines) + " sha=" + e.sha256.substr(0, 8);
    out += " @" + std::to_string(e.offset) + '+' + std::to_string(e.bytes) + ' ' + std::to_string(e.at_us) + ".." +
           std::to_string(e.end_us);
    if (!e.complete) out += " incomplete";
    if (e.bare_lf) out += " bare-lf";
    if (e.truncated) out += " truncated";
    out += " [" + e.text + "]\n";
  }
  for (const Message& m : c.messages()) {
    out += "message <" + m.mail_from.value_or("none") + "> bytes=" + std::to_string(m.bytes) +
           " mail=" + std::to_string(m.mail) + '/' + std::to_string(m.mail_reply) + " data=" + std::to_string(m.data) +
           '/' + std::to_string(m.data_reply) + " body=" + std::to_string(m.body) +
           " final=" + std::to_string(m.final_reply) + (m.ended ? " ended" : "") + (m.accepted ? " accepted" : "") +
           (m.withdrawn ? " withdrawn" : "") + " sha=" + m.sha256.substr(0, 8) + " id=" + m.queue_id;
    for (const Recipient& r : m.recipients) out += " <" + r.address + ">=" + std::to_string(r.code);
    out += '\n';
  }
  if (c.tls()) out += "tls " + c.tls()->mode + ' ' + c.tls()->alert + (c.tls()->application_data ? " data" : "") + '\n';
  return out;
}

struct Outcome {
  std::string dump;
  std::string written[2];  ///< what a recorder may have written: secrets masked, omissions as '#'
};

/// Cuts the turns by `cut(remaining)` and runs them; time advances 1 ms a turn.
template <class Cut>
Outcome run(const std::vector<Turn>& turns, Conversation::Policy policy, Cut cut) {
  Conversation c(policy);
  c.open(0);
  c.gateway_connected();
  Outcome out;
  uint64_t offset[2] = {0, 0};
  const auto mask = [&] {
    for (From from : {From::sender, From::gateway}) {
      std::string& text = out.written[from == From::sender ? 0 : 1];
      for (ByteRange r : c.take_secrets(from))
        std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(r.offset), r.length, '*');
    }
    for (ByteRange r : c.take_omissions())
      std::fill_n(out.written[0].begin() + static_cast<std::ptrdiff_t>(r.offset), r.length, '#');
  };
  int64_t at = 0;
  for (const Turn& turn : turns) {
    at += 1000;
    const size_t side = turn.from == From::sender ? 0 : 1;
    if (turn.lost > 0) {
      c.hole(turn.from, at, turn.lost);
      out.written[side].append(turn.lost, '?');
      offset[side] += turn.lost;
      REQUIRE(c.stable(turn.from) == offset[side]);
      mask();
    }
    for (size_t i = 0; i < turn.bytes.size();) {
      const size_t n = std::min(turn.bytes.size() - i, cut(turn.bytes.size() - i));
      const uint64_t stable_before = c.stable(turn.from);
      out.written[side] += turn.bytes.substr(i, n);
      c.chunk({turn.from, at, offset[side], std::string_view(turn.bytes).substr(i, n)});
      offset[side] += n;
      REQUIRE(c.stable(turn.from) >= stable_before);
      REQUIRE(c.stable(turn.from) <= offset[side]);
      mask();
      i += n;
    }
  }
  c.finish();
  mask();
  REQUIRE(c.stable(From::sender) == offset[0]);
  REQUIRE(c.stable(From::gateway) == offset[1]);
  out.dump = dump(c);
  return out;
}

/// Runs the turns whole, byte by byte and cut at random; returns the one outcome.
inline Outcome settle(const std::vector<Turn>& turns, Conversation::Policy policy = {}) {
  const Outcome whole = run(turns, policy, [](size_t n) { return n; });
  const Outcome bytes = run(turns, policy, [](size_t) { return size_t{1}; });
  REQUIRE(bytes.dump == whole.dump);
  REQUIRE(bytes.written[0] == whole.written[0]);
  REQUIRE(bytes.written[1] == whole.written[1]);
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    const Outcome cut = run(turns, policy, [&](size_t n) { return 1 + random() % std::min<size_t>(n, 1 + seed * 3); });
    REQUIRE(cut.dump == whole.dump);
    REQUIRE(cut.written[0] == whole.written[0]);
    REQUIRE(cut.written[1] == whole.written[1]);
  }
  return whole;
}

}  // namespace smtpscope::test
