#include "capture/foreign/smtp_sniffer.h"

#include <algorithm>
#include <string>

#include "capture/smtp/syntax.h"

namespace smtpscope {
namespace {

/// "EHLO ", "HELO ", "LHLO ", "MAIL FROM:": what a client of SMTP begins with.
Fit fits_client(std::string_view bytes) {
  bool perhaps = false;
  for (const std::string_view word : {"EHLO", "HELO", "LHLO", "MAIL FROM:"}) {
    if (starts_with_nocase(bytes, word)) {
      if (bytes.size() == word.size()) return word.back() == ':' ? Fit::yes : Fit::perhaps;
      const char behind = bytes[word.size()];
      if (word.back() == ':' || behind == ' ' || behind == '\r' || behind == '\n') return Fit::yes;
    }
    perhaps = perhaps || starts_with_nocase(word, bytes);
  }
  return perhaps ? Fit::perhaps : Fit::no;
}

/// A greeting: 220, 421 or 5xx.
Fit fits_greeting(std::string_view bytes) {
  for (size_t i = 0; i < std::min<size_t>(bytes.size(), 3); ++i)
    if (bytes[i] < '0' || bytes[i] > '9') return Fit::no;
  if (bytes.size() < 4) return Fit::perhaps;
  const uint16_t code = parse_reply_line(bytes.substr(0, bytes.find('\n'))).code;
  return code == 220 || code == 421 || (code >= 500 && code < 600) ? Fit::yes : Fit::no;
}

/// FTP greets with 220 too; this tells them apart, also where the host is called smtp.example.
bool names_mail(std::string_view greeting) {
  std::string lower(greeting);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto says = [&](std::string_view word) { return lower.find(word) != std::string::npos; };
  return (says("smtp") || says("lmtp")) && !says("ftp");
}

SniffResult by_content(std::string_view client, std::string_view server, size_t sender, bool ended) {
  const Fit client_fit = client.empty() ? Fit::perhaps : fits_client(client);
  if (client_fit == Fit::yes) return {Sniffed::smtp, sender};
  const Fit server_fit = server.empty() ? Fit::perhaps : fits_greeting(server);
  if (server_fit == Fit::no) return {Sniffed::other, sender};
  if (server_fit == Fit::yes && names_mail(server)) return {Sniffed::smtp, sender};
  if (client_fit == Fit::no) return {Sniffed::other, sender};
  // No other protocol greets with 521 or 554.
  if (ended && server_fit == Fit::yes && (server.starts_with("521") || server.starts_with("554")))
    return {Sniffed::smtp, sender};
  return {ended ? Sniffed::other : Sniffed::wait, sender};
}

}  // namespace

bool is_smtp_port(uint16_t port) { return port == 25 || port == 465 || port == 587 || port == 2525; }

SniffResult sniff_smtp(const FirstBytes& first) {
  const bool silent = first.bytes[0].empty() && first.bytes[1].empty();
  if (first.sender) {
    const size_t sender = *first.sender, gateway = 1 - sender;
    if (is_smtp_port(first.ports[gateway])) return {silent && !first.ended ? Sniffed::wait : Sniffed::smtp, sender};
    return by_content(first.bytes[sender], first.bytes[gateway], sender, first.ended);
  }
  if (silent) return {first.ended ? Sniffed::other : Sniffed::wait, 0};
  for (const size_t gateway : {size_t{0}, size_t{1}}) {
    const uint16_t port = first.ports[gateway], other = first.ports[1 - gateway];
    // 2525 is also a port that clients get from their system, for what they want of the well-known ones.
    if (is_smtp_port(port) && !is_smtp_port(other) && (port < 1024 || other >= 1024))
      return {Sniffed::smtp, 1 - gateway};
  }
  // Neither its beginning nor a port tells who is who: the bytes have to fit one way.
  const SniffResult one = by_content(first.bytes[0], first.bytes[1], 0, first.ended);
  const SniffResult other = by_content(first.bytes[1], first.bytes[0], 1, first.ended);
  if (one.what == Sniffed::smtp) return one;
  if (other.what == Sniffed::smtp) return other;
  return {one.what == Sniffed::other && other.what == Sniffed::other ? Sniffed::other : Sniffed::wait, 0};
}

}  // namespace smtpscope
