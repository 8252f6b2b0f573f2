#include "capture/diagnosis/reply_match.h"

#include <charconv>

#include "capture/diagnosis/view.h"
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
  // Nothing was asked: behind a BDAT that the gateway does not know, each line of the chunk is refused as a command.
  const bool message = reply.phase == Phase::body || reply.phase == Phase::end_of_data;
  if (asked == nullptr) return message && reply.code >= 500 ? Phase::idle : reply.phase;
  if (asked->kind != Event::Kind::command) return reply.phase;
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

/// A reply as rules look at it.
struct Judged {
  const Event& reply;
  Phase phase;
  Verb verb;                  ///< of the command that it answers; none if it answers none
  std::string words;          ///< judged_words()
  std::string_view enhanced;  ///< without the class ("1.1"); empty if it has none
  bool bounce;                ///< the envelope sender is <>
};

bool matches(const ReplyTest& test, const Judged& judged) {
  if (test.from == 0 || judged.reply.code < test.from || judged.reply.code > test.to) return false;
  if ((test.phases & in(judged.phase)) == 0) return false;
  if (test.bounce && !judged.bounce) return false;
  if (test.verb != Verb::none && test.verb != judged.verb) return false;
  if (says_any(judged.words, test.unless)) return false;
  if (test.enhanced.empty() && test.texts.empty()) return true;
  const std::string_view enhanced = judged.enhanced;
  if (!enhanced.empty() && any_of(test.enhanced, ' ', [&](std::string_view e) { return enhanced_is(e, enhanced); }))
    return true;
  return says_any(judged.words, test.texts);
}

}  // namespace

bool says_any(std::string_view words, std::string_view texts) {
  return any_of(texts, '|', [&](std::string_view t) { return words.find(t) != std::string_view::npos; });
}

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

const Rule* judge_refusal(const View& view, int32_t refusal) {
  const Event& reply = *view.at(refusal);
  const Event* asked = view.at(reply.answers);
  const Message* message = asked != nullptr ? view.message_at(reply.answers) : nullptr;
  Judged judged{reply,
                judged_phase(reply, asked),
                asked != nullptr ? asked->verb : Verb::none,
                judged_words(reply.text),
                enhanced_code(reply.text),
                message != nullptr && message->mail_from && message->mail_from->empty()};
  if (judged.enhanced.size() > 2) judged.enhanced.remove_prefix(2);
  for (const Rule* rule : all_rules())
    if (matches(rule->reply, judged) || (rule->also != nullptr && rule->also(view, refusal))) return rule;
  return nullptr;
}

}  // namespace smtpscope
