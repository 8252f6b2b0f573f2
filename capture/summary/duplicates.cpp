#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "capture/summary/across.h"
#include "capture/summary/words.h"

namespace smtpscope {
namespace {

struct Sent {
  const SessionDigest* session;
  const DigestMessage* message;
};

std::string by_body(const DigestMessage& m) {
  return m.sha256.empty() ? std::string() : "body " + m.sha256 + ' ' + lower(*m.mail_from);
}

std::string by_envelope(const DigestMessage& m) {
  if (m.bytes == 0) return {};
  std::vector<std::string> recipients;
  for (const DigestRecipient& r : m.recipients) recipients.push_back(lower(r.address));
  std::sort(recipients.begin(), recipients.end());
  std::string key = "envelope " + std::to_string(m.bytes) + ' ' + lower(*m.mail_from);
  for (const std::string& r : recipients) key += '\n' + r;
  return key;
}

const DigestRecipient* in_common(const DigestMessage& a, const DigestMessage& b) {
  for (const DigestRecipient& x : a.recipients)
    for (const DigestRecipient& y : b.recipients)
      if (x.code < 400 && y.code < 400 && lower(x.address) == lower(y.address)) return &x;
  return nullptr;
}

}  // namespace

void find_duplicates(const Digests& sessions, const std::function<void(Duplicate&&)>& on_duplicate) {
  std::vector<Sent> sent;
  bool any_lost = false;
  for (const SessionDigest* s : sessions)
    for (const DigestMessage& m : s->messages) {
      if (!m.mail_from || (m.outcome != Outcome::delivered && !m.reply_lost)) continue;
      sent.push_back({s, &m});
      any_lost = any_lost || m.reply_lost;
    }
  if (!any_lost) return;
  std::stable_sort(sent.begin(), sent.end(),
                   [](const Sent& a, const Sent& b) { return a.message->at_us < b.message->at_us; });

  std::unordered_map<std::string, Sent> lost;  // the newest of a key
  std::unordered_set<const DigestMessage*> repeated;
  for (const Sent& now : sent) {
    const DigestMessage& m = *now.message;
    const std::string keys[] = {by_body(m), by_envelope(m)};
    for (const std::string& key : keys) {
      const auto earlier = key.empty() ? lost.end() : lost.find(key);
      if (earlier == lost.end()) continue;
      const Sent first = earlier->second;
      const DigestMessage& f = *first.message;
      const DigestRecipient* recipient = in_common(f, m);
      if (first.session == now.session || recipient == nullptr || repeated.contains(&f)) continue;
      // Where both hashes are known they decide: another mail of the same size is no duplicate.
      if (!f.sha256.empty() && !m.sha256.empty() && f.sha256 != m.sha256) continue;
      repeated.insert(&f);
      on_duplicate({*m.mail_from, recipient->address, first.session->id, now.session->id, first.session->ip,
                    now.session->ip, f.queue_id, m.queue_id, m.at_us - f.at_us, key == keys[0],
                    f.outcome == Outcome::delivered, m.outcome == Outcome::delivered});
      break;
    }
    if (!m.reply_lost) continue;
    for (const std::string& key : keys)
      if (!key.empty()) lost.insert_or_assign(key, now);
  }
}

}  // namespace smtpscope
