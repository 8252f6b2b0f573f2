#include "capture/foreign/injection_log_reader.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <istream>
#include <utility>

#include "capture/smtp/syntax.h"
#include "capture/store/instance.h"
#include "capture/transcript/harmless.h"

namespace smtpscope {
namespace {

constexpr int64_t kYear2100_us = 4'102'444'800'000'000;
constexpr size_t kMaxFolds = 8;
constexpr size_t kShownOfUnknown = 60;
constexpr size_t kMaxHosts = 1024, kMaxEndedEarly = 16'384;
constexpr std::string_view kBom = "\xEF\xBB\xBF";

/// A ULID of this moment that is the same whenever this session is read again.
std::string steady_id(int64_t started_us, std::string_view session) {
  static constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(session.data()), session.size(), digest.data());
  std::string id = new_ulid(started_us);
  for (size_t i = 0; i < 16; ++i) id[10 + i] = kCrockford[digest[i] & 31U];
  return id;
}

std::string_view without_line_end(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  return line;
}

}  // namespace

bool looks_like_injection_log(std::string_view first_bytes) {
  LogClock clock(kYear2100_us);
  if (first_bytes.starts_with(kBom)) first_bytes.remove_prefix(kBom.size());
  while (!first_bytes.empty()) {
    const size_t end = std::min(first_bytes.find('\n'), first_bytes.size());
    const auto line = parse_injection_log_line(without_line_end(first_bytes.substr(0, end)));
    if (line && clock.read(line->prefix) != nullptr) return true;
    first_bytes.remove_prefix(std::min(end + 1, first_bytes.size()));
  }
  return false;
}

void InjectionLogReader::feed(std::string_view piece) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    partial_ += part.substr(0, kMaxLine - std::min(kMaxLine, partial_.size()));
    piece.remove_prefix(end == std::string_view::npos ? piece.size() : end + 1);
    if (end == std::string_view::npos) return;
    const std::string text = std::exchange(partial_, {});
    line(text);
  }
}

void InjectionLogReader::line(std::string_view text) {
  ++report_.lines;
  if (text.starts_with(kBom)) text.remove_prefix(kBom.size());
  text = without_line_end(text);
  if (entry(text, false)) return;
  if (is_log_file_frame(text)) {
    settle_unfinished();
    framed_ = true;
    if (const auto offset = log_utc_offset(text)) clock_.set_utc_offset(*offset);
    return;
  }
  if (!unfinished_.empty()) {
    // A fold stands where it was made: an indented line for a blank, else for nothing.
    const size_t text_at = std::min(text.find_first_not_of(" \t"), text.size());
    std::string joined = unfinished_;
    continuations_.emplace_back(text);
    for (const std::string& more : continuations_) {
      const size_t at = std::min(more.find_first_not_of(" \t"), more.size());
      if (at > 0 && !joined.ends_with(' ')) joined.push_back(' ');
      joined.append(more, at);
    }
    const auto whole = parse_injection_log_line(joined);
    if (whole && whole->closed) {
      unfinished_.clear();
      continuations_.clear();
      entry(joined, false);
    } else if (continuations_.size() > kMaxFolds || joined.size() > kMaxLine || text_at == text.size()) {
      settle_unfinished();
    }
    return;
  }
  if (text.find_first_not_of(" \t") != std::string_view::npos) unknown(text, report_.lines);
}

bool InjectionLogReader::entry(std::string_view text, bool cut) {
  const auto line = parse_injection_log_line(text);
  if (!line) return false;
  const LogStamp* stamp = clock_.read(line->prefix);
  if (stamp == nullptr) return false;
  if (!unfinished_.empty()) {
    settle_unfinished();
    stamp = clock_.read(line->prefix);
    if (stamp == nullptr) return false;
  }
  if (!line->closed && !cut) {
    unfinished_ = text;
    unfinished_number_ = report_.lines;
    return true;
  }
  ++entries_;
  if (cut) ++report_.cut;
  const auto open = session_of(*line, *stamp);
  const int64_t at_us = stamp->at_us - open->session.facts().started_us;
  if (line->missing)
    open->session.missing({line->from, at_us, 0, line->length, std::string(line->reason)});
  else
    open->session.line({line->from, at_us, unescape_injection_log(line->quoted), cut});
  touch(open, stamp->at_us);
  end_silent(stamp->at_us);
  return true;
}

void InjectionLogReader::settle_unfinished() {
  if (unfinished_.empty()) return;
  std::string text = std::exchange(unfinished_, {});
  const std::vector<std::string> behind = std::exchange(continuations_, {});
  // Where backslashes are not escaped, a closing quote behind one is a closing quote all the same.
  const size_t last = text.find_last_not_of(" \t");
  const bool quoted = last != std::string::npos && last > 0 && text[last] == '\'' && text[last - 1] == '\\';
  if (quoted) text = text.substr(0, last).append("\\'");
  entry(text, !quoted);
  uint64_t number = unfinished_number_;
  for (const std::string& more : behind) unknown(more, ++number);
}

void InjectionLogReader::unknown(std::string_view text, uint64_t number) {
  if (report_.unknown++ > 0) return;
  report_.error = "line " + std::to_string(number) + " is no line of an injection debug log: \"" +
                  fit(harmless(text.substr(0, 4 * kShownOfUnknown)), kShownOfUnknown) + '"';
}

bool InjectionLogReader::begins_late(const InjectionLogLine& line, const LogStamp& stamp, bool goes_on) {
  if (hosts_.size() >= kMaxHosts) hosts_.erase(hosts_.begin());
  Host& host = hosts_[stamp.host];
  const std::string bytes = unescape_injection_log(line.quoted.substr(0, 64));
  const uint16_t code = line.from == From::gateway ? parse_reply_line(bytes).code : 0;
  // 220 is a greeting; other codes below 400 never are. A refusal or the sender's own bytes may be the first of a new
  // session: of an ICID above one that began here, or alone in a file that no gateway began.
  bool late = code >= 200 && code < 400;
  if (code == 220)
    late = false;
  else if (!late)
    late = goes_on || (line.icid <= host.begun && (entries_ > 1 || framed_ || !stamp.file_form));
  if (!late) host.begun = std::min(host.begun, line.icid);
  return late;
}

InjectionLogReader::Sessions::iterator InjectionLogReader::session_of(const InjectionLogLine& line,
                                                                      const LogStamp& stamp) {
  std::string key = stamp.host + '\n' + std::to_string(line.icid) + '\n' + std::string(line.ip);
  if (const auto known = by_key_.find(key); known != by_key_.end()) {
    const bool anew = known->second->session.over() && line.from == From::gateway && line.quoted.starts_with("220");
    const bool silent = stamp.at_us - known->second->last_us > kSilent_us;
    if (!anew && !silent) return known->second;
    end(known->second);
  }
  SessionFacts facts;
  facts.id = steady_id(stamp.at_us, key + '\n' + std::string(line.quoted));
  facts.icid = line.icid;
  facts.started_us = stamp.at_us;
  facts.sender.ip = line.ip;
  facts.source = "injection-log";
  facts.resolution_us = 1'000'000;
  facts.begins_late = begins_late(line, stamp, ended_early_.contains(key));
  silent_.push_back({key, InjectionLogSession(std::move(facts)), stamp.at_us, 0, false});
  by_key_[std::move(key)] = std::prev(silent_.end());
  return std::prev(silent_.end());
}

void InjectionLogReader::touch(Sessions::iterator open, int64_t at_us) {
  memory_ -= open->memory;
  open->memory = open->session.memory();
  memory_ += open->memory;
  open->last_us = std::max(open->last_us, at_us);
  Sessions& from = open->leaving ? leaving_ : silent_;
  open->leaving = open->session.over();
  Sessions& to = open->leaving ? leaving_ : silent_;
  to.splice(to.end(), from, open);
}

void InjectionLogReader::end(Sessions::iterator open, std::string_view why) {
  by_key_.erase(open->key);
  if (!open->session.over()) {
    if (ended_early_.size() >= kMaxEndedEarly) ended_early_.clear();
    ended_early_.insert(open->key);
  }
  memory_ -= open->memory;
  ++report_.sessions;
  Transcript transcript = open->session.finish(why);
  (open->leaving ? leaving_ : silent_).erase(open);
  sink_(std::move(transcript));
}

void InjectionLogReader::end_silent(int64_t now_us) {
  while (!leaving_.empty() && leaving_.front().last_us + kLeaving_us < now_us) end(leaving_.begin());
  while (!silent_.empty() && silent_.front().last_us + kSilent_us < now_us) end(silent_.begin());
  while (silent_.size() + leaving_.size() > kMaxOpen || memory_ > kMaxMemory) {
    if (!leaving_.empty())
      end(leaving_.begin());
    else if (silent_.empty())
      return;
    else
      end(silent_.begin(),
          "more sessions are open in the log than are followed at once: what follows is one of its own");
  }
}

InjectionLogReport InjectionLogReader::finish() {
  if (!partial_.empty()) {
    const std::string text = std::exchange(partial_, {});
    line(text);
  }
  settle_unfinished();
  while (!leaving_.empty()) end(leaving_.begin());
  while (!silent_.empty()) end(silent_.begin());
  return std::move(report_);
}

InjectionLogReport analyze_injection_log(std::istream& in, int64_t now_us, const InjectionLogReader::Sink& sink) {
  InjectionLogReader reader(now_us, sink);
  std::vector<char> piece(size_t{256} * 1024);
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0)
    reader.feed({piece.data(), static_cast<size_t>(in.gcount())});
  return reader.finish();
}

}  // namespace smtpscope
