#include "capture/smtp/auth.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "capture/smtp/syntax.h"

namespace smtpscope {
namespace {

constexpr size_t kMaxSecrets = 64;
constexpr size_t kMaxSecret = 12'288;  // RFC 4954 4: the longest line of AUTH
constexpr size_t kMaxPieces = 16'384;
constexpr size_t kMinEcho = 4;  // shorter secrets would cover innocent text

bool blank(char c) { return c == ' ' || c == '\t'; }

bool known_mechanism(std::string_view word) {
  constexpr std::array<std::string_view, 24> kNames{
      "PLAIN", "LOGIN", "CRAM-MD5", "CRAM-SHA1", "DIGEST-MD5", "XOAUTH",      "XOAUTH2",     "OAUTHBEARER",
      "NTLM",  "MSN",   "GSSAPI",   "EXTERNAL",  "ANONYMOUS",  "KERBEROS_V4", "GSS-SPNEGO",  "OTP",
      "SRP",   "SKEY",  "SECURID",  "PASSDSS",   "X-TOKEN",    "XTEXT",       "CRAM-SHA256", "SPNEGO"};
  if (starts_with_nocase(word, "SCRAM-SHA-") || starts_with_nocase(word, "GS2-")) return word.size() <= 20;
  return std::any_of(kNames.begin(), kNames.end(), [&](std::string_view known) {
    return known.size() == word.size() && starts_with_nocase(word, known);
  });
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

std::string decode_base64(std::string_view text) {
  std::string out;
  unsigned bits = 0;
  int count = 0;
  for (char c : text) {
    if (c == '=') break;
    const int value = base64_value(c);
    if (value < 0) return {};
    bits = bits << 6 | static_cast<unsigned>(value);
    if (++count % 4 != 1) out += static_cast<char>(bits >> (6 - 2 * ((count - 1) % 4)) & 0xff);
  }
  return out;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; (at = text.find_first_not_of(separators, at)) != std::string_view::npos;) {
    const size_t end = std::min(text.size(), text.find_first_of(separators, at));
    parts.push_back(text.substr(at, end - at));
    at = end;
  }
  return parts;
}

uint64_t piece_at(std::string_view text, size_t at) {
  uint64_t piece = 0;
  std::memcpy(&piece, text.data() + at, sizeof piece);
  return piece;
}

}  // namespace

bool may_be_auth(std::string_view line) {
  while (!line.empty() && blank(line.front())) line.remove_prefix(1);
  constexpr std::string_view kAuth = "AUTH";
  const size_t n = std::min(line.size(), kAuth.size());
  return starts_with_nocase(line.substr(0, n), kAuth.substr(0, n));
}

ByteRange secret_of_auth_line(std::string_view line) {
  size_t at = 0;
  const auto skip_blanks = [&] {
    while (at < line.size() && blank(line[at])) ++at;
  };
  const auto skip_word = [&] {
    while (at < line.size() && !blank(line[at])) ++at;
  };
  skip_blanks();
  at = std::min(line.size(), at + 4);  // AUTH
  if (at < line.size() && !blank(line[at])) return {at, line.size() - at};
  skip_blanks();
  const size_t mechanism = at;
  skip_word();
  const bool known = known_mechanism(line.substr(mechanism, at - mechanism));
  const size_t mechanism_end = at;
  skip_blanks();
  if (at == line.size() && known) return {};
  // An unknown single word may be the secret itself; an unknown word with something behind it is taken for a name.
  if (at == line.size()) return {mechanism, mechanism_end - mechanism};
  if (!known && mechanism_end - mechanism > 20) at = mechanism;
  if (line.substr(at) == "=") return {};  // RFC 4954 4: an empty initial response
  return {at, line.size() - at};
}

bool looks_like_response(std::string_view line) {
  switch (parse_verb(line)) {
    case Verb::none:
      return false;
    case Verb::unknown:
      return true;
    default:
      return false;
  }
}

void SecretEchoes::remember(std::string_view secret) {
  if (secret.size() > kMaxSecret) secret = secret.substr(0, kMaxSecret);
  // The gateway may leave out the blanks around it, or repeat one word of several.
  for (const std::string_view word : split(secret, " \t\r")) {
    const std::string decoded = decode_base64(word);
    if (decoded.empty() || word.size() < sizeof(uint64_t))
      add(word);
    else
      add_pieces(word);
    // PLAIN: authzid NUL authcid NUL password; the password may hold blanks.
    if (const size_t nul = decoded.rfind('\0'); nul != std::string::npos) {
      add(std::string_view(decoded).substr(nul + 1));
      continue;
    }
    // XOAUTH2, OAUTHBEARER: ^A separates members, one of them "auth=Bearer " and the token; CRAM-MD5: user SP digest;
    // others: one text.
    for (const std::string_view member : split(decoded, "\x01")) {
      add(member);
      if (const size_t blank = member.rfind(' '); blank != std::string_view::npos) add(member.substr(blank + 1));
    }
  }
}

void SecretEchoes::add(std::string_view text) {
  if (text.size() < kMinEcho || secrets_.size() == kMaxSecrets) return;
  if (std::find(secrets_.begin(), secrets_.end(), text) == secrets_.end()) secrets_.emplace_back(text);
}

void SecretEchoes::add_pieces(std::string_view encoded) {
  for (size_t at = 0; at + sizeof(uint64_t) <= encoded.size() && pieces_.size() < kMaxPieces; ++at)
    pieces_.push_back(piece_at(encoded, at));
  std::sort(pieces_.begin(), pieces_.end());
  pieces_.erase(std::unique(pieces_.begin(), pieces_.end()), pieces_.end());
}

std::vector<ByteRange> SecretEchoes::find_in(std::string_view line) const {
  std::vector<ByteRange> found;
  for (const std::string& secret : secrets_)
    for (size_t at = line.find(secret); at != std::string_view::npos; at = line.find(secret, at + 1))
      found.push_back({at, secret.size()});
  if (!pieces_.empty())
    for (size_t at = 0; at + sizeof(uint64_t) <= line.size(); ++at)
      if (std::binary_search(pieces_.begin(), pieces_.end(), piece_at(line, at)))
        found.push_back({at, sizeof(uint64_t)});
  std::sort(found.begin(), found.end(), [](const ByteRange& a, const ByteRange& b) { return a.offset < b.offset; });
  std::vector<ByteRange> merged;
  for (const ByteRange& range : found) {
    if (!merged.empty() && range.offset <= merged.back().offset + merged.back().length) {
      ByteRange& last = merged.back();
      last.length = std::max(last.offset + last.length, range.offset + range.length) - last.offset;
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

}  // namespace smtpscope
