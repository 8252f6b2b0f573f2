#include "capture/diagnosis/reply_match.h"

#include <charconv>

#include "capture/smtp/syntax.h"

namespace smtpscope {
namespace {

template <class Test>
bool any_of(std::string_view list, char separator, Test test) {
  while (!list.empty()) {
    const size_t end = list.find(separator);
    if (test(list.substr(0, end))) return true;
    if (end == std::string_view::npos) break;
    list.remove_prefix(end + 1);
  }
  return false;
}

/// "7.23" is itself; "7.606-649" is all from 7.606 to 7.649.
bool enhanced_is(std::string_view wanted, std::string_view enhanced) {
  const size_t dash = wanted.find('-');
  if (dash == std::string_view::npos) return wanted == enhanced;
  const size_t dot = wanted.find('.') + 1;
  if (enhanced.substr(0, dot) != wanted.substr(0, dot)) return false;
  const auto number = [](std::string_view digits) {
    unsigned value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  };
  const unsigned detail = number(enhanced.substr(dot));
  return detail >= number(wanted.substr(dot, dash - dot)) && detail <= number(wanted.substr(dash + 1));
}

/// Where the words of a further line of a reply begin: behind "550-5.7.1 ".
std::string_view without_codes(std::string_view line) {
  const std::string_view enhanced = enhanced_code(line);
  if (!enhanced.empty()) return line.substr(static_cast<size_t>(enhanced.data() - line.data()) + enhanced.size());
  return line.size() < 4 ? std::string_view{} : line.substr(4);
}

void append_words(std::string& out, std::string_view line) {
  while (!line.empty()) {
    const size_t end = line.find(' ');
    const std::string_view word = line.substr(0, end);
    if (!word.empty() && word.find('@') == std::string_view::npos) {
      if (!out.empty()) out += ' ';
      for (const char c : word) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    if (end == std::string_view::npos) return;
    line.remove_prefix(end + 1);
  }
}

/// The phase whose rules know what this reply refuses.
Phase judged_phase(const Event& reply, const Event* asked) {
  if (asked == nullptr || asked->kind != Event::Kind::command) return reply.phase;
  switch (asked->verb) {
    case Verb::noop:
    case Verb::vrfy:
    case Verb::expn:
    case Verb::help:
    case Verb::rset:
    case Verb::turn:
    case Verb::http:
    case Verb::unknown:
    case Verb::none:
      return Phase::idle;
    default:
      return reply.phase;
  }
}

}  // namespace

std::string judged_words(std::string_view text) {
  constexpr size_t kJudged = 1024;  // what a reply means is said in its first lines; a hostile one may be long
  text = text.substr(0, kJudged);
  std::string out;
  for (bool first = true; !text.empty(); first = false) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    append_words(out, first ? line : without_codes(line));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

bool reply_matches(const ReplyTest& test, const Event& reply, Phase phase, std::string_view words,
                   std::string_view enhanced, bool bounce) {
  if (test.from == 0 || reply.code < test.from || reply.code > test.to) return false;
  if ((test.phases & in(phase)) == 0) return false;
  if (test.bounce && !bounce) return false;
  if (test.enhanced.empty() && test.texts.empty()) return true;
  if (!enhanced.empty() && any_of(test.enhanced, ' ', [&](std::string_view e) { return enhanced_is(e, enhanced); }))
    return true;
  return any_of(test.texts, '|', [&](std::string_view t) { return words.find(t) != std::string_view::npos; });
}

const Rule* judge_reply(const Event& reply, const Event* asked, const Message* message) {
  const Phase phase = judged_phase(reply, asked);
  const std::string words = judged_words(reply.text);
  std::string_view enhanced = enhanced_code(reply.text);
  if (enhanced.size() > 2) enhanced.remove_prefix(2);
  const bool bounce = message != nullptr && message->mail_from && message->mail_from->empty();
  for (const Rule* rule : all_rules())
    if (reply_matches(rule->reply, reply, phase, words, enhanced, bounce)) return rule;
  return nullptr;
}

}  // namespace smtpscope
