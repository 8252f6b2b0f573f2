#include "tests/generated/player.h"

#include <fmt/core.h>

#include <algorithm>

#include "capture/diagnosis/script.h"
#include "capture/session_analyzer.h"

namespace smtpscope {
namespace {

std::string escaped(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto value = static_cast<unsigned char>(c);
    if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n";
    else if (c == '\\')
      out += "\\\\";
    else if (value < 0x20 || value > 0x7E)
      out += fmt::format("\\x{:02x}", value);
    else
      out += c;
  }
  return out;
}

/// One side's way through the plan: the exchange and byte that it sends next.
struct Side {
  size_t exchange = 0, byte = 0;
  uint64_t sent = 0;
};

class Player {
 public:
  Player(const Plan& plan, Dice& dice, bool scripted)
      : plan_(plan), dice_(dice), pieces_(dice.below(10)), scripted_(scripted), analyzer_(script_facts()) {
    analyzer_.connected({GatewayConnect::State::connected, 0, 0, ""});
  }

  PlayedPlan play() {
    while (true) {
      skip_empty();
      const bool sender = sender_may(), gateway = gateway_may();
      if (!sender && !gateway) break;
      if (sender && (!gateway || dice_.chance(50)))
        send(From::sender);
      else
        send(From::gateway);
      if (plan_.ending == Ending::without_waiting && !left_ && sender_.exchange == plan_.exchanges.size()) {
        left_ = true;
        close(From::sender, CloseHow::fin);
      }
    }
    finish_connection();
    SessionEnd end;
    end.at_us = now_us_;
    end.sender_stream.bytes = sender_.sent;
    end.gateway_stream.bytes = gateway_.sent;
    return {analyzer_.finish(end), std::move(script_)};
  }

 private:
  const std::vector<Exchange>& all() const { return plan_.exchanges; }

  /// Is all that the sender owes up to this exchange sent?
  bool sent_whole(size_t exchange) const { return exchange < sender_.exchange; }

  bool sender_may() const {
    if (sender_.exchange >= all().size()) return false;
    return sender_.byte > 0 || all()[sender_.exchange].grouped || gateway_.exchange >= sender_.exchange;
  }
  bool gateway_may() const { return gateway_.exchange < all().size() && sent_whole(gateway_.exchange); }

  void skip_empty() {
    for (bool more = true; more;) {
      more = false;
      if (sender_.exchange < all().size() && all()[sender_.exchange].sent.empty() &&
          gateway_.exchange >= sender_.exchange)
        ++sender_.exchange, more = true;
      if (gateway_may() && all()[gateway_.exchange].reply.empty()) ++gateway_.exchange, more = true;
    }
  }

  /// What this side may send in one segment at most: its exchange's rest, and what may follow it at once.
  std::string run_of(From from) const {
    const Side& side = from == From::sender ? sender_ : gateway_;
    std::string run;
    size_t byte = side.byte;
    for (size_t i = side.exchange; i < all().size(); ++i, byte = 0) {
      if (i > side.exchange && (from == From::sender ? !all()[i].grouped : !sent_whole(i))) break;
      run += (from == From::sender ? all()[i].sent : all()[i].reply).substr(byte);
      if (run.size() > kSegment) break;
    }
    return run;
  }

  size_t piece(size_t most) {
    most = std::min(most, kSegment);
    if (pieces_ < 5) return most;                                                        // as it was written
    if (pieces_ < 8 || most > 3000) return static_cast<size_t>(dice_.between(1, most));  // cut anywhere
    if (pieces_ == 8) return std::min<size_t>(most, 1 + dice_.below(3));
    return 1;
  }

  void send(From from) {
    Side& side = from == From::sender ? sender_ : gateway_;
    const std::string run = run_of(from);
    size_t n = piece(run.size());
    wait(from == From::sender && side.byte == 0            ? all()[side.exchange].sender_waits_us
         : from == From::gateway && side.byte == 0         ? all()[side.exchange].gateway_waits_us
         : plan_.drips && side.byte > 0 && dice_.chance(3) ? static_cast<int64_t>(dice_.below(170)) * 1'000'000
                                                           : 0);
    const std::string_view bytes = std::string_view(run).substr(0, n);
    if (scripted_) script_ += fmt::format("{}~{}\n", from == From::sender ? 'S' : 'G', escaped(bytes));
    analyzer_.chunk({from, now_us_, side.sent, bytes});
    side.sent += n;
    while (n > 0) {
      const Exchange& e = all()[side.exchange];
      const size_t left = (from == From::sender ? e.sent : e.reply).size() - side.byte;
      const size_t here = std::min(n, left);
      side.byte += here;
      n -= here;
      if (here == left) ++side.exchange, side.byte = 0;
    }
  }

  void wait(int64_t us) {
    us += static_cast<int64_t>(dice_.below(pieces_ >= 8 ? 500 : 20'000));
    now_us_ += us;
    if (scripted_) script_ += fmt::format("+{:.6f}\n", static_cast<double>(us) / 1e6);
  }

  void close(From from, CloseHow how) {
    wait(0);
    if (scripted_)
      script_ += fmt::format("{} {}\n", from == From::sender ? 'S' : 'G', how == CloseHow::fin ? "fin" : "rst");
    analyzer_.closed({from, now_us_, how});
  }

  void finish_connection() {
    switch (plan_.ending) {
      case Ending::gateway_closes:
        close(From::gateway, CloseHow::fin);
        return close(From::sender, CloseHow::fin);
      case Ending::sender_closes:
        close(From::sender, CloseHow::fin);
        return close(From::gateway, CloseHow::fin);
      case Ending::without_waiting:
        return close(From::gateway, CloseHow::fin);
      case Ending::reset:
        return close(From::sender, CloseHow::rst);
      case Ending::gateway_left_behind:
        close(From::gateway, CloseHow::fin);
        return close(From::sender, CloseHow::rst);
    }
  }

  static constexpr size_t kSegment = 65'536;

  const Plan& plan_;
  Dice& dice_;
  uint64_t pieces_;  ///< how this session is cut into segments
  bool scripted_;
  SessionAnalyzer analyzer_;
  Side sender_, gateway_;
  int64_t now_us_ = 0;
  bool left_ = false;
  std::string script_;
};

}  // namespace

PlayedPlan play(const Plan& plan, Dice& dice, bool scripted) { return Player(plan, dice, scripted).play(); }

std::string compare(const Plan& plan, const Transcript& t) {
  std::string wrong;
  if (t.verdict != plan.verdict)
    wrong += fmt::format("verdict {}, expected {}: {}\n", name(t.verdict), name(plan.verdict), t.summary);
  if (t.breakdown) wrong += fmt::format("breakdown {}: {}\n", t.breakdown->code, t.breakdown->why);
  for (const Finding& note : t.notes)
    if (!plan.notes.contains(note.code)) wrong += fmt::format("note {}: {} ({})\n", note.code, note.why, note.got);
  if (t.messages.size() != plan.messages.size())
    return wrong + fmt::format("{} messages, expected {}\n", t.messages.size(), plan.messages.size());
  for (size_t i = 0; i < t.messages.size(); ++i) {
    const Message& m = t.messages[i];
    const ExpectedMessage& e = plan.messages[i];
    if (m.accepted != e.accepted || m.bytes != e.bytes || m.recipients.size() != e.recipients || m.mail_from != e.from)
      wrong += fmt::format("message {}: accepted {}, {} bytes, {} recipients, from <{}>; expected {}, {}, {}, <{}>\n",
                           i, m.accepted, m.bytes, m.recipients.size(), m.mail_from.value_or("none"), e.accepted,
                           e.bytes, e.recipients, e.from);
    for (const Recipient& r : m.recipients)
      if (r.reply < 0) wrong += fmt::format("message {}: no reply for <{}>\n", i, r.address);
  }
  if (t.verdict != Verdict::unknown)
    for (const Event& event : t.events)
      if (!event.complete) wrong += fmt::format("an event is not whole: {}\n", event.text.substr(0, 80));
  return wrong;
}

}  // namespace smtpscope
