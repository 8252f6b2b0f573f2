#include "capture/transcript/silence.h"

#include <algorithm>
#include <deque>

namespace smtpscope {
namespace {

/// What has been said so far, in order of the events.
class Turns {
 public:
  explicit Turns(const Transcript& t) : t_(t) {}

  void pass(size_t index) {
    const Event& e = t_.events[index];
    switch (e.kind) {
      case Event::Kind::reply:
        replied_ = true;
        // Commands are answered in order: those before the one that this reply answers never will be.
        while (!asked_.empty() && static_cast<int32_t>(asked_.front()) <= e.answers) asked_.pop_front();
        begins_body_ = e.code == 354;
        if (body_ >= 0 && t_.events[static_cast<size_t>(body_)].complete) body_ = -1;
        break;
      case Event::Kind::command:
        if (e.verb != Verb::none) asked_.push_back(index);
        quit_ = quit_ || e.verb == Verb::quit;
        begins_body_ = false;
        break;
      case Event::Kind::body:
        body_ = static_cast<int32_t>(index);
        begins_body_ = false;
        break;
      case Event::Kind::tls:
        tls_ = true;
        break;
      case Event::Kind::close:
        if (e.from != From::gateway) sender_closed_ = true;
        if (e.from != From::sender) gateway_closed_ = true;
        break;
      default:
        break;
    }
  }

  std::string why(int64_t since_us) const {
    if (tls_ && !(sender_closed_ || gateway_closed_)) return "inside TLS, where nobody can see whose turn it was";
    return "waiting for " + waiting_for(since_us);
  }

 private:
  std::string waiting_for(int64_t since_us) const {
    if (sender_closed_ && gateway_closed_) return "the end";
    if (t_.connect.state != GatewayConnect::State::connected || t_.connect.at_us > since_us)
      return "the gateway to answer the connection";
    if (gateway_closed_) return "the sender to close";
    if (tls_) return "the gateway to close";
    if (!replied_) return sender_closed_ ? "the gateway to close" : "the gateway's greeting";
    if (body_ >= 0 && !t_.events[static_cast<size_t>(body_)].complete)
      return sender_closed_ ? "the gateway to close" : "the rest of the sender's message";
    if (!asked_.empty()) {
      const std::string verb(name(t_.events[asked_.front()].verb));
      return verb.empty() ? "the gateway's reply" : "the gateway's reply to " + verb;
    }
    if (body_ >= 0 && is_owed(body_)) return "the gateway's reply to the message";
    if (sender_closed_ || quit_) return "the gateway to close";
    return begins_body_ ? "the sender to begin the message" : "the sender's next command";
  }

  /// Is a whole message without its final reply? (What answers a BDAT chunk answers its command.)
  bool is_owed(int32_t body) const {
    return std::any_of(t_.messages.begin(), t_.messages.end(),
                       [&](const Message& m) { return m.body == body && !m.bdat && m.ended; });
  }

  const Transcript& t_;
  std::deque<size_t> asked_;  ///< commands without a reply yet
  int32_t body_ = -1;
  bool replied_ = false, begins_body_ = false, tls_ = false, quit_ = false;
  bool sender_closed_ = false, gateway_closed_ = false;
};

}  // namespace

std::vector<Silence> silences(const Transcript& t, int64_t least_us) {
  std::vector<Silence> out;
  Turns turns(t);
  int64_t quiet_since_us = 0;
  const auto quiet_until = [&](size_t before, int64_t now_us) {
    if (now_us - quiet_since_us >= least_us) out.push_back({before, quiet_since_us, now_us, turns.why(quiet_since_us)});
  };
  bool reached = t.connect.state != GatewayConnect::State::connected;
  for (size_t i = 0; i <= t.events.size(); ++i) {
    const int64_t now_us = i < t.events.size() ? t.events[i].at_us : t.duration_us;
    if (i > 0 && !reached && t.connect.at_us <= now_us) {  // no event, but no silence goes on over it
      reached = true;
      quiet_until(i, t.connect.at_us);
      quiet_since_us = std::max(quiet_since_us, t.connect.at_us);
    }
    if (i > 0) quiet_until(i, now_us);
    if (i == t.events.size()) break;
    quiet_since_us = std::max({quiet_since_us, t.events[i].at_us, t.events[i].end_us});
    turns.pass(i);
  }
  return out;
}

}  // namespace smtpscope
