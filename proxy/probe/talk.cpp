#include "proxy/probe/talk.h"

#include <utility>

namespace smtpscope {

Talk::Talk(std::vector<std::string> commands) : commands_(std::move(commands)) {
  conversation_.open(0);
  conversation_.gateway_connected();
}

std::string Talk::say(const std::string& command, int64_t at_us) {
  sent_.push_back(command);
  std::string line = command + "\r\n";
  conversation_.chunk({From::sender, at_us, sent_bytes_, line});
  sent_bytes_ += line.size();
  return line;
}

std::string Talk::take(std::string_view bytes, int64_t at_us) {
  if (too_much()) return "";
  conversation_.chunk({From::gateway, at_us, bytes_, bytes});
  bytes_ += bytes.size();
  const auto& events = conversation_.events();
  for (; seen_ < events.size(); ++seen_) {
    const Event& event = events[seen_];
    if (event.kind != Event::Kind::reply) continue;
    TalkReply reply{event.code, event.text, event.end_us};
    if (!greeting_)
      greeting_ = std::move(reply);
    else if (replies_.size() < sent_.size())
      replies_.push_back(std::move(reply));
    else
      unasked_.push_back(std::move(reply));
  }
  if (!greeting_ || replies_.size() < sent_.size() || next_ >= commands_.size()) return "";
  if (!greeting_->positive() && sent_.empty()) next_ = commands_.size() - 1;
  return say(commands_[next_++], at_us);
}

}  // namespace smtpscope
