#include "capture/diagnosis/session_end.h"

#include "capture/diagnosis/body_stall.h"

namespace smtpscope {

bool ordinary_end(const View& v) {
  if (!v.cut_short() || v.banner_owed() || v.inside_tls() || forgotten_while_idle(v)) return false;
  const Phase phase = v.close()->phase;
  if (in_body(v) || phase == Phase::end_of_data || phase == Phase::banner) return false;
  // A side that leaves after a refusal has its reason, which has its own rule.
  const Event* last = v.last_reply();
  return last == nullptr || last->code < 400 || v.gateway_owes();
}

Phase missing_phase(const View& v) {
  if (const Event* waiting = v.waiting()) return waiting->phase;
  if (const Event* cut = v.at(v.cut_command)) return cut->phase;
  return v.close()->phase;
}

std::string owed_text(const View& v) {
  const Event* waiting = v.waiting();
  if (waiting == nullptr) return "the sender's next command was awaited";
  if (waiting->kind == Event::Kind::reply) return "the gateway was in the middle of a reply";
  const std::string_view verb = name(waiting->verb);
  return "the gateway owed the reply to " +
         (verb.empty() ? std::string("the sender's last command") : std::string(verb));
}

}  // namespace smtpscope
