#include "capture/smtp/syntax.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace smtpscope {
namespace {

constexpr std::array<std::pair<std::string_view, Verb>, 24> kVerbs{{
    {"EHLO", Verb::ehlo}, {"HELO", Verb::helo},         {"LHLO", Verb::lhlo}, {"MAIL", Verb::mail},
    {"RCPT", Verb::rcpt}, {"DATA", Verb::data},         {"BDAT", Verb::bdat}, {"RSET", Verb::rset},
    {"NOOP", Verb::noop}, {"QUIT", Verb::quit},         {"VRFY", Verb::vrfy}, {"EXPN", Verb::expn},
    {"HELP", Verb::help}, {"STARTTLS", Verb::starttls}, {"AUTH", Verb::auth}, {"ETRN", Verb::etrn},
    {"TURN", Verb::turn}, {"XCLIENT", Verb::xclient},   {"GET", Verb::http},  {"XFORWARD", Verb::xforward},
    {"POST", Verb::http}, {"HEAD", Verb::http},         {"PUT", Verb::http},  {"CONNECT", Verb::http},
}};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool alnum(char c) { return digit(c) || (upper(c) >= 'A' && upper(c) <= 'Z'); }
bool blank(char c) { return c == ' ' || c == '\t'; }

std::string_view skip_blanks(std::string_view text) {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  return text;
}

bool equal_nocase(std::string_view a, std::string_view b) { return a.size() == b.size() && starts_with_nocase(a, b); }

/// The word that begins at `at`: up to a blank, a comma, a bracket or a closing parenthesis.
std::string word_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && !blank(text[end]) && text[end] != '\n' && text[end] != ',' && text[end] != ')' &&
         text[end] != ']' && text[end] != '>')
    ++end;
  return std::string(text.substr(at, end - at));
}

/// The word behind the first occurrence of `key`, whatever the case.
std::string word_behind(std::string_view text, std::string_view key) {
  for (size_t i = 0; i + key.size() < text.size(); ++i)
    if (starts_with_nocase(text.substr(i), key)) return word_at(text, i + key.size());
  return {};
}

}  // namespace

std::string_view name(Verb verb) {
  if (verb == Verb::auth_response) return "AUTH-RESPONSE";
  if (verb == Verb::none || verb == Verb::unknown || verb == Verb::http) return "";
  for (const auto& [text, value] : kVerbs)
    if (value == verb) return text;
  return "";
}

std::string_view name(Event::Kind kind) {
  constexpr std::array<std::string_view, 7> kNames{"connect", "reply", "command", "body", "tls", "close", "note"};
  return kNames[static_cast<size_t>(kind)];
}

std::optional<Event::Kind> event_kind_of(std::string_view text) {
  for (int i = 0; i < 7; ++i)
    if (name(static_cast<Event::Kind>(i)) == text) return static_cast<Event::Kind>(i);
  return std::nullopt;
}

bool starts_with_nocase(std::string_view text, std::string_view prefix) {
  if (text.size() < prefix.size()) return false;
  for (size_t i = 0; i < prefix.size(); ++i)
    if (upper(text[i]) != upper(prefix[i])) return false;
  return true;
}

Verb parse_verb(std::string_view line) {
  line = skip_blanks(line);
  if (line.empty()) return Verb::none;
  size_t end = 0;
  while (end < line.size() && alnum(line[end])) ++end;
  const std::string_view word = line.substr(0, end);
  const bool ends_well = end == line.size() || blank(line[end]);
  if (ends_well && end > 0)
    for (const auto& [text, verb] : kVerbs)
      if (text[0] == upper(word[0]) && equal_nocase(word, text)) return verb;
  return Verb::unknown;
}

std::string parse_path(std::string_view line) {
  std::string_view rest = skip_blanks(line);
  rest.remove_prefix(std::min(rest.size(), rest.find_first_of(" \t")));
  rest = skip_blanks(rest);
  for (const std::string_view word : {"FROM", "TO"})
    if (starts_with_nocase(rest, word) && rest.find_first_of(" \t:<", word.size()) == word.size())
      rest.remove_prefix(word.size());
  rest = skip_blanks(rest);
  if (rest.starts_with(':')) rest = skip_blanks(rest.substr(1));
  if (!rest.empty() && rest.front() == '<') {
    bool quoted = false;
    for (size_t i = 1; i < rest.size(); ++i) {
      if (rest[i] == '\\' && quoted) {
        ++i;
      } else if (rest[i] == '"') {
        quoted = !quoted;
      } else if (rest[i] == '>' && !quoted) {
        return std::string(rest.substr(1, i - 1));
      }
    }
    const size_t end = rest.find('>');
    return std::string(rest.substr(1, end == std::string_view::npos ? end : end - 1));
  }
  return std::string(rest.substr(0, rest.find_first_of(" \t")));
}

std::optional<uint64_t> parse_size_parameter(std::string_view line) {
  const size_t from = line.find('>');
  for (size_t i = from == std::string_view::npos ? 0 : from; i + 6 < line.size() + 1; ++i) {
    if (!blank(line[i]) || !starts_with_nocase(line.substr(i + 1), "SIZE=")) continue;
    const std::string_view digits = line.substr(i + 6);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool whole = end == digits.data() + digits.size() || blank(*end);
    if (error == std::errc{} && end != digits.data() && whole) return value;
    return std::nullopt;
  }
  return std::nullopt;
}

std::optional<BdatCommand> parse_bdat(std::string_view line) {
  line = skip_blanks(line);
  line.remove_prefix(std::min<size_t>(4, line.size()));
  line = skip_blanks(line);
  size_t digits = 0;
  while (digits < line.size() && digit(line[digits])) ++digits;
  if (digits == 0) return std::nullopt;
  BdatCommand bdat;
  const auto [end, error] = std::from_chars(line.data(), line.data() + digits, bdat.size);
  if (error != std::errc{}) bdat.size = UINT64_MAX;  // more than anybody can send
  std::string_view rest = line.substr(digits);
  while (!rest.empty() && (blank(rest.back()) || rest.back() == '\r')) rest.remove_suffix(1);
  if (!rest.empty() && !blank(rest.front())) return std::nullopt;
  rest = skip_blanks(rest);
  if (rest.empty()) return bdat;
  if (!equal_nocase(rest, "LAST")) return std::nullopt;
  bdat.last = true;
  return bdat;
}

ReplyLine parse_reply_line(std::string_view line) {
  if (line.size() < 3 || !digit(line[0]) || !digit(line[1]) || !digit(line[2])) return {};
  if (line.size() > 3 && digit(line[3])) return {};
  ReplyLine reply;
  reply.code = static_cast<uint16_t>((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
  reply.continues = line.size() > 3 && line[3] == '-';
  return reply;
}

Fit fits_command(std::string_view bytes) {
  constexpr size_t kEnough = 12;  // the longest of these words with its line end, and some
  bytes = bytes.substr(0, kEnough);
  const size_t lf = bytes.find('\n');
  if (lf == std::string_view::npos && bytes.size() < kEnough) return Fit::perhaps;
  for (const std::string_view word : {"MAIL FROM:", "RCPT TO:", "EHLO ", "HELO ", "LHLO "})
    if (starts_with_nocase(bytes, word)) return Fit::yes;
  if (starts_with_nocase(bytes, "BDAT ") && bytes.size() > 5 && digit(bytes[5])) return Fit::yes;
  if (lf == std::string_view::npos) return Fit::no;
  const std::string_view line = bytes.substr(0, lf > 0 && bytes[lf - 1] == '\r' ? lf - 1 : lf);
  for (const std::string_view word : {"DATA", "RSET", "QUIT", "NOOP", "STARTTLS"})
    if (equal_nocase(line, word)) return Fit::yes;
  return Fit::no;
}

Fit fits_reply(std::string_view bytes) {
  const bool whole = bytes.substr(0, 4).find('\n') != std::string_view::npos;
  if (bytes.size() < 4 && !whole) return Fit::perhaps;
  const uint16_t code = parse_reply_line(bytes.substr(0, std::min<size_t>(4, bytes.find_first_of("\r\n")))).code;
  const bool ends_well = bytes.size() < 4 || blank(bytes[3]) || bytes[3] == '-' || bytes[3] == '\r' || bytes[3] == '\n';
  return code >= 200 && code < 600 && ends_well ? Fit::yes : Fit::no;
}

std::string_view enhanced_code(std::string_view text) {
  if (text.size() < 9) return {};
  size_t at = 4;
  if (text[at] == '#') ++at;
  const size_t begin = at;
  if (text[at] != '2' && text[at] != '4' && text[at] != '5') return {};
  ++at;
  for (int part = 0; part < 2; ++part) {
    if (at >= text.size() || text[at] != '.') return {};
    ++at;
    size_t digits = 0;
    while (at < text.size() && digit(text[at]) && digits < 3) ++at, ++digits;
    if (digits == 0) return {};
  }
  if (at < text.size() && !blank(text[at]) && text[at] != '\n' && text[at] != ':') return {};
  return text.substr(begin, at - begin);
}

std::string parse_queue_id(std::string_view text) {
  std::string id = word_behind(text, "queued as ");            // Postfix, aiosmtpd and others
  if (id.empty()) id = word_behind(text, " OK id=");           // Exim
  if (id.empty()) id = word_behind(text, "Message Queued (");  // Haraka
  if (id.empty()) id = word_behind(text, "[InternalId=");      // Exchange
  if (!id.empty()) return id;
  if (const size_t at = text.find(" accepted for delivery"); at != std::string_view::npos) {
    // Sendmail "250 2.0.0 kAB12 Message accepted for delivery", OpenSMTPD "250 2.0.0 9f3c Message accepted for
    // delivery"
    const std::string_view status = enhanced_code(text);
    const size_t from = status.empty() ? 4 : static_cast<size_t>(status.data() - text.data()) + status.size();
    const std::string_view rest = skip_blanks(text.substr(std::min(from, text.size())));
    return starts_with_nocase(rest, "Message") ? std::string{} : word_at(rest, 0);
  }
  for (size_t i = 0; i < text.size(); ++i) {  // Cisco "250 ok:  Message 12345 accepted"
    if (!starts_with_nocase(text.substr(i), "Message ")) continue;
    id = word_at(text, i + 8);
    if (!id.empty() && std::all_of(id.begin(), id.end(), digit) &&
        starts_with_nocase(skip_blanks(text.substr(i + 8 + id.size())), "accepted"))
      return id;
  }
  if (text.ends_with(" - gsmtp")) {  // Google "250 2.0.0 OK  1700000000 a1b2-c3.45 - gsmtp"
    const std::string_view rest = text.substr(0, text.size() - 8);
    return std::string(rest.substr(rest.find_last_of(' ') + 1));
  }
  return {};
}

}  // namespace smtpscope
