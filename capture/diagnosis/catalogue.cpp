#include "capture/diagnosis/catalogue.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "capture/diagnosis/tables.h"

namespace smtpscope {
namespace {

std::vector<const Rule*> gather() {
  std::vector<const Rule*> all;
  // What a reply says (policy to session) comes before what its phase alone tells; the fallbacks come last.
  for (const auto table :
       {rules_connect(),  rules_proxy_header(), rules_look_up(),        rules_delay(),  rules_path(),
        rules_banner(),   rules_policy(),       rules_host(),           rules_domain(), rules_limits(),
        rules_server(),   rules_session(),      rules_refused_banner(), rules_auth(),   rules_helo(),
        rules_starttls(), rules_tls(),          rules_mail(),           rules_rcpt(),   rules_content(),
        rules_protocol(), rules_chunks(),       rules_message_bytes(),  rules_time(),   rules_data(),
        rules_end(),      rules_fallback()})
    for (const Rule& rule : table) all.push_back(&rule);
  return all;
}

/// Levenshtein distance; the codes are short.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string references_of(const Rule& rule) {
  std::string text;
  for (const std::string_view reference : rule.references)
    if (!reference.empty()) text.append(text.empty() ? "" : ", ").append(reference);
  return text;
}

/// One labelled paragraph, wrapped, its further lines indented.
std::string paragraph(std::string_view label, std::string_view text, size_t width) {
  constexpr size_t kIndent = 12;
  std::string out = fmt::format("  {:<{}}", label, kIndent - 2);
  size_t column = kIndent;
  bool first = true;
  while (!text.empty()) {
    const size_t end = text.find(' ');
    const std::string_view word = text.substr(0, end);
    if (!first && column + 1 + word.size() > width) {
      out.append("\n").append(kIndent, ' ');
      column = kIndent;
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out + "\n";
}

}  // namespace

std::span<const Rule* const> all_rules() {
  static const std::vector<const Rule*> kAll = gather();
  return kAll;
}

const Rule* find_rule(std::string_view code) {
  for (const Rule* rule : all_rules())
    if (rule->code == code) return rule;
  return nullptr;
}

std::string_view nearest_code(std::string_view text) {
  std::string_view best;
  size_t best_distance = std::max<size_t>(3, text.size() / 2);
  for (const Rule* rule : all_rules()) {
    const bool part = text.size() >= 4 && rule->code.find(text) != std::string_view::npos;
    const size_t d = part ? 1 : distance(text.substr(0, 64), rule->code);
    if (d < best_distance) best_distance = d, best = rule->code;
  }
  return best;
}

std::string explain_rule(const Rule& rule, size_t width) {
  std::string out = fmt::format("{}: {}\n", rule.code, rule.title);
  const bool replies = rule.reply.from != 0;
  out += paragraph("kind", rule.kind == Rule::Kind::note ? "note" : "breakdown", width);
  out += paragraph("phase", replies && rule.phase == Phase::idle ? "that of the command" : name(rule.phase), width);
  out += paragraph("party", name(rule.party), width);
  out += paragraph("expected", rule.expected, width);
  out += paragraph("why", rule.why, width);
  out += paragraph("advice", rule.advice, width);
  out += paragraph("see", references_of(rule), width);
  return out;
}

std::string diagnoses_markdown() {
  std::string out =
      "# Diagnoses\n\n"
      "Every kind of breakdown and note that smtpscope names, in the order in which ties are decided. `smtpscope "
      "explain CODE`\n"
      "prints the same. This file is generated from the tables in capture/diagnosis: run the diagnosis tests with\n"
      "SMTPSCOPE_UPDATE_DOCS=1 to write it anew.\n\n"
      "The party is the one most likely at fault; a finding may name another where the session shows it.\n\n"
      "| code | phase | party | meaning |\n|---|---|---|---|\n";
  for (const Rule* rule : all_rules())
    out += fmt::format("| [{0}](#{0}) | {1} | {2} | {3}{4} |\n", rule->code, name(rule->phase), name(rule->party),
                       rule->title, rule->kind == Rule::Kind::note ? " (note)" : "");
  for (const Rule* rule : all_rules()) {
    out += fmt::format("\n## {}\n\n{}.\n\n", rule->code, rule->title);
    out += fmt::format("* Expected: {}\n* Why: {}\n* Advice: {}\n* See: {}\n", rule->expected, rule->why, rule->advice,
                       references_of(*rule));
  }
  return out;
}

}  // namespace smtpscope
