#include "proxy/commands/filter_options.h"

#include <CLI/CLI.hpp>

namespace smtpscope {

void add_filter_options(CLI::App& command, ListFilters& filters) {
  // Codes and words are lower case; who copies them from a headline need not care.
  const auto any_case = [](const std::string& word) { return CLI::detail::to_lower(word); };
  command.add_option("--sender", filters.senders, "Address, network or range: 203.0.113.0/24, 10.2.3, 192.0.2.1-9");
  command.add_option("--code", filters.codes, "Code of the breakdown or of a note, as rcpt-unknown-user")
      ->transform(any_case);
  command
      .add_option("--phase", filters.phases,
                  "Where it broke, or in a session that did not break, what a note is of: connect, banner, helo, "
                  "starttls, tls, auth, mail, rcpt, data, body, end-of-data, "
                  "quit or idle")
      ->transform(any_case);
  command
      .add_option("--party", filters.parties,
                  "Who broke it, or caused a note of a session that did not break: sender, gateway, network, dns, "
                  "policy, proxy or unknown")
      ->transform(any_case);
  command.add_option("--verdict", filters.verdicts, "delivered, breakdown, no-mail or unknown")->transform(any_case);
  command.add_option("--since", filters.since,
                     "Began at or after: 2026-11-24T02:06:41Z, 2026-11-24 (both UTC), or 2h (ago)");
  command.add_option("--until", filters.until, "Began before; written as --since");
}

}  // namespace smtpscope
