#include "capture/diagnosis/reply_match.h"

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

}  // namespace

bool reply_matches(const ReplyTest& test, const Event& reply, std::string_view lower, std::string_view enhanced) {
  if (test.from == 0 || reply.code < test.from || reply.code > test.to) return false;
  if ((test.phases & in(reply.phase)) == 0) return false;
  if (test.enhanced.empty() && test.texts.empty()) return true;
  if (!enhanced.empty() && any_of(test.enhanced, ' ', [&](std::string_view e) { return e == enhanced; })) return true;
  return any_of(test.texts, '|', [&](std::string_view t) { return lower.find(t) != std::string_view::npos; });
}

const Rule* judge_reply(const Event& reply) {
  constexpr size_t kJudged = 1024;  // what a reply means is said in its first lines; a hostile one may be long
  std::string lower = reply.text.substr(0, kJudged);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '\n') c = ' ';
  }
  std::string_view enhanced = enhanced_code(reply.text);
  if (enhanced.size() > 2) enhanced.remove_prefix(2);
  for (const Rule* rule : all_rules())
    if (reply_matches(rule->reply, reply, lower, enhanced)) return rule;
  return nullptr;
}

}  // namespace smtpscope
