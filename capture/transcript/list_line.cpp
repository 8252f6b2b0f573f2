#include "capture/transcript/list_line.h"

#include <algorithm>

#include "capture/transcript/harmless.h"
#include "capture/transcript/json_text.h"

namespace smtpscope {
namespace {

constexpr size_t kSenderColumns = 15;   // an IPv4 address; a longer IPv6 one pushes
constexpr size_t kOutcomeColumns = 18;  // most codes; a longer one pushes
constexpr std::string_view kYellow = "\x1b[33m";

std::string padded(std::string text, size_t columns) {
  const size_t used = display_width(text);
  if (used < columns) text.append(columns - used, ' ');
  return text;
}

std::string_view colour_of(const std::string& verdict) {
  if (verdict == "delivered") return "\x1b[32m";
  if (verdict == "breakdown") return "\x1b[1;31m";
  return verdict == "unknown" ? kYellow : "";
}

uint64_t left_out(const Transcript& t) {
  uint64_t refused = 0;
  for (const Message& m : t.messages)
    if (m.accepted)
      for (const Recipient& r : m.recipients) refused += r.code >= 400 ? 1 : 0;
  return refused;
}

/// "... the recipient <x@y>: 550 5.1.1 <x@y>: User unknown" says the address once, so that the reason fits into the
/// line.
std::string without_repetition(std::string text) {
  const size_t open = text.find('<'), close = text.find('>', open);
  if (open == std::string::npos || close == std::string::npos) return text;
  const std::string again = text.substr(open, close + 1 - open) + ": ";
  // A reply follows the first one's colon; what stands in it once more is left out.
  if (const size_t at = text.find(again, close + 2); at != std::string::npos) text.erase(at, again.size());
  return text;
}

}  // namespace

ListRow list_row(const Transcript& t) {
  return {iso_utc(t.session.started_us),        t.session.id, t.session.sender.ip, std::string(name(t.verdict)),
          t.breakdown ? t.breakdown->code : "", t.summary,    left_out(t)};
}

std::string list_line(const ListRow& row, int width, bool colour) {
  const auto most = static_cast<size_t>(std::max(width, 60));
  std::string time = row.started.substr(0, 19);
  if (time.size() > 10 && time[10] == 'T') time[10] = ' ';
  if (time.size() == 19) time += 'Z';
  const std::string left =
      harmless(time) + "  " + harmless(row.id) + "  " + padded(harmless(row.sender_ip), kSenderColumns) + "  ";
  const bool in_part = row.verdict == "delivered" && row.left_out > 0;
  const std::string outcome =
      padded(in_part ? "delivered in part" : harmless(row.code.empty() ? row.verdict : row.code), kOutcomeColumns);
  // Cut as plain text first, so that a colour is never cut.
  const std::string plain = fit(left + outcome + "  " + harmless(without_repetition(row.summary)), most);
  const std::string_view paint = in_part ? kYellow : colour_of(row.verdict);
  const size_t end = left.size() + outcome.size();
  std::string out = plain;
  if (colour && !paint.empty() && plain.size() >= end && plain.compare(0, end, left + outcome) == 0) {
    out = left;
    out += paint;
    out += outcome;
    out += "\x1b[0m";
    out += plain.substr(end);
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace smtpscope
