#include "proxy/names/spf_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/units.h"

namespace smtpscope {
namespace {

constexpr std::string_view kVersion = "v=spf1";
constexpr std::string_view kMacroLetters = "slodiphv";  // RFC 7208 7.2; c, r and t are for explanations only
constexpr std::string_view kDelimiters = ".-+,/_=";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

bool starts_with(std::string_view text, std::string_view with) {
  return text.size() >= with.size() && same(text.substr(0, with.size()), with);
}

/// Length of the macro-expand at the beginning of the text, which begins with %; 0 if it is none.
size_t macro_length(std::string_view text) {
  if (text.size() < 2) return 0;
  if (text[1] == '%' || text[1] == '_' || text[1] == '-') return 2;
  if (text[1] != '{' || text.size() < 4 || kMacroLetters.find(lower(text[2])) == std::string_view::npos) return 0;
  // macro-letter transformers *delimiter "}", transformers = *DIGIT [ "r" ]; "0" as a number is refused.
  size_t at = 3;
  const size_t digits = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  const std::string_view number = text.substr(digits, at - digits);
  if (!number.empty() && number.find_first_not_of('0') == std::string_view::npos) return 0;
  if (at < text.size() && lower(text[at]) == 'r') ++at;
  while (at < text.size() && kDelimiters.find(text[at]) != std::string_view::npos) ++at;
  return at < text.size() && text[at] == '}' ? at + 1 : 0;
}

/// Where the literal text behind the last macro begins; nullopt if it is no macro-string.
std::optional<size_t> macro_string_tail(std::string_view text) {
  size_t tail = 0;
  for (size_t i = 0; i < text.size();) {
    if (text[i] < 0x21 || text[i] > 0x7E) return std::nullopt;
    if (text[i] != '%') {
      ++i;
      continue;
    }
    const size_t length = macro_length(text.substr(i));
    if (length == 0) return std::nullopt;
    i += length;
    tail = i;
  }
  return tail;
}

/// toplabel: letters, digits and hyphens, not digits alone, no hyphen at an end.
bool is_top_label(std::string_view label) {
  if (label.empty() || label.front() == '-' || label.back() == '-') return false;
  bool digits_only = true;
  for (const char c : label) {
    if (!is_alpha(c) && !is_digit(c) && c != '-') return false;
    digits_only = digits_only && is_digit(c);
  }
  return !digits_only;
}

/// domain-spec = macro-string domain-end; domain-end = ( "." toplabel [ "." ] ) / macro-expand
bool is_domain_spec(std::string_view text) {
  const auto tail = macro_string_tail(text);
  if (text.empty() || !tail) return false;
  if (*tail == text.size()) return true;
  std::string_view end = text.substr(*tail);
  if (end.back() == '.') end.remove_suffix(1);
  const size_t dot = end.rfind('.');
  return dot != std::string_view::npos && is_top_label(end.substr(dot + 1));
}

/// "/24" at the end of the text, taken off it; nullopt if what stands there is no prefix length.
std::optional<unsigned> take_bits(std::string_view& text, std::string_view slash, unsigned max) {
  size_t digits = text.size();
  while (digits > 0 && is_digit(text[digits - 1])) --digits;
  const std::string_view number = text.substr(digits);
  if (number.empty() || number.size() > 3 || (number.size() > 1 && number.front() == '0') ||
      !text.substr(0, digits).ends_with(slash))
    return std::nullopt;
  unsigned value = 0;
  for (const char c : number) value = value * 10 + static_cast<unsigned>(c - '0');
  if (value > max) return std::nullopt;
  text = text.substr(0, digits - slash.size());
  return value;
}

/// What stands behind the name of ip4 or ip6. False if it is wrong.
bool read_network(std::string_view text, bool v6, SpfTerm& term) {
  if (text.empty() || text.front() != ':') return false;
  text.remove_prefix(1);
  unsigned bits = v6 ? 128 : 32;
  if (text.find('/') != std::string_view::npos) {
    const auto given = take_bits(text, "/", bits);
    if (!given) return false;
    bits = *given;
  }
  const auto address = IpAddress::parse(text);
  if (!address || (!v6 && (!address->is_v4() || text.find(':') != std::string_view::npos))) return false;
  // An IPv4-mapped address is asked for as the IPv4 address that it is, so that ip6 never matches it.
  if (v6 && address->is_v4()) return text.find(':') != std::string_view::npos;
  term.range = AddressRange{address->network(bits), address->broadcast(bits)};
  return true;
}

/// What stands behind the name of a or mx: [ ":" domain-spec ] [ "/" bits ] [ "//" bits ].
bool read_dual(std::string_view text, SpfTerm& term) {
  const bool named = !text.empty() && text.front() == ':';
  if (const auto bits = take_bits(text, "//", 128)) term.bits6 = *bits;
  if (const auto bits = take_bits(text, "/", 32)) term.bits4 = *bits;
  if (!named) return text.empty();
  term.domain = text.substr(1);
  // A slash that is left belongs to a macro, or to a prefix length that is none.
  const size_t brace = term.domain.rfind('}'), slash = term.domain.rfind('/');
  if (slash != std::string::npos && (brace == std::string::npos || slash > brace)) return false;
  return is_domain_spec(term.domain);
}

bool read_mechanism(std::string_view name, std::string_view rest, SpfTerm& term) {
  using Kind = SpfTerm::Kind;
  const bool has_domain = rest.size() > 1 && rest.front() == ':';
  if (same(name, "all")) return rest.empty();
  if (same(name, "ip4") || same(name, "ip6")) {
    term.kind = Kind::addresses;
    return read_network(rest, same(name, "ip6"), term);
  }
  if (same(name, "a") || same(name, "mx")) {
    term.kind = same(name, "a") ? Kind::a : Kind::mx;
    return read_dual(rest, term);
  }
  if (same(name, "ptr") && rest.empty()) {
    term.kind = Kind::ptr;
    return true;
  }
  if (same(name, "include") || same(name, "exists") || same(name, "ptr")) {
    term.kind = same(name, "include") ? Kind::include : same(name, "exists") ? Kind::exists : Kind::ptr;
    if (!has_domain) return false;
    term.domain = rest.substr(1);
    return is_domain_spec(term.domain);
  }
  return false;
}

Error wrong(std::string_view term) { return Error{fmt::format("{} is no term of SPF", quoted(term))}; }

}  // namespace

bool is_spf_record(std::string_view text) {
  return starts_with(text, kVersion) && (text.size() == kVersion.size() || text[kVersion.size()] == ' ');
}

Result<SpfRecord> parse_spf_record(std::string_view text) {
  if (!is_spf_record(text)) return Error{"it does not begin with v=spf1"};
  text.remove_prefix(kVersion.size());
  SpfRecord record;
  bool all = false, redirects = false, explains = false;
  while (true) {
    const size_t begins = text.find_first_not_of(' ');
    if (begins == std::string_view::npos) break;
    text.remove_prefix(begins);
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());

    // modifier = name "=" ..., name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )
    const size_t name_end = std::min(word.size(), static_cast<size_t>(std::find_if(word.begin(), word.end(),
                                                                                   [](char c) {
                                                                                     return !is_alpha(c) &&
                                                                                            !is_digit(c) && c != '-' &&
                                                                                            c != '_' && c != '.';
                                                                                   }) -
                                                                      word.begin()));
    if (name_end > 0 && is_alpha(word.front()) && name_end < word.size() && word[name_end] == '=') {
      const std::string_view name = word.substr(0, name_end), value = word.substr(name_end + 1);
      const bool redirect = same(name, "redirect"), explanation = same(name, "exp");
      if (redirect && std::exchange(redirects, true)) return Error{"it has two redirects"};
      if (explanation && std::exchange(explains, true)) return Error{"it has two explanations"};
      if (redirect || explanation ? !is_domain_spec(value) : !macro_string_tail(value)) return wrong(word);
      if (redirect) record.redirect = value;
      continue;
    }
    SpfTerm term;
    term.text = word;
    std::string_view rest = word;
    constexpr std::string_view kQualifiers = "+-~?";
    if (const size_t q = kQualifiers.find(rest.front()); q != std::string_view::npos) {
      term.qualifier = static_cast<SpfTerm::Qualifier>(q);
      rest.remove_prefix(1);
    }
    const size_t end = std::min(rest.size(), rest.find_first_of(":/"));
    if (!read_mechanism(rest.substr(0, end), rest.substr(end), term)) return wrong(word);
    if (!all) {
      all = term.kind == SpfTerm::Kind::all;
      record.terms.push_back(std::move(term));
    }
  }
  if (all) record.redirect.clear();
  return record;
}

std::optional<std::string> spf_domain(std::string_view spec, std::string_view domain) {
  std::string out;
  for (size_t i = 0; i < spec.size();) {
    if (spec[i] != '%') {
      out += lower(spec[i++]);
      continue;
    }
    const size_t length = macro_length(spec.substr(i));
    const std::string_view macro = spec.substr(i, length);
    if (length == 0) return std::nullopt;
    if (macro == "%%")
      out += '%';
    else if (macro == "%_")
      out += ' ';
    else if (macro == "%-")
      out += "%20";
    else if (same(macro, "%{d}"))
      out += domain;
    else
      return std::nullopt;
    i += length;
  }
  if (out.ends_with('.')) out.pop_back();
  return out;
}

}  // namespace smtpscope
