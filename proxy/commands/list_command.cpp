// smtpscope list: a line a session, oldest first, or with --json its transcript as it stands in the store.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>

#include "capture/store/index.h"
#include "capture/store/paths.h"
#include "config/settings.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/list_filters.h"
#include "proxy/commands/stored_line.h"

namespace smtpscope {
namespace {

struct ListOptions {
  std::string store = StoreSettings{}.path;
  ListFilters filters;
  bool json = false;
};

std::string line_of(const IndexEntry& e) {
  // The date and the time to the second: what is behind it tells nobody anything in a list.
  std::string when = e.started.substr(0, 19);
  if (when.size() == 19) when[10] = ' ';
  return harmless(fmt::format("{}  {:<15}  {:<9}  {:<22}  {}  {}", when, e.sender_ip, e.verdict,
                              e.code.empty() ? "-" : e.code, e.id, e.summary));
}

ExitCode list(const ListOptions& options) {
  using namespace std::chrono;
  const auto now_us = duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
  const Result<IndexQuery> query = query_of(options.filters, now_us);
  if (!query) throw CLI::ValidationError(query.error());

  Index index(options.store);
  ExitCode code = ExitCode::ok;
  StoredLines lines;
  const uint64_t shown = index.query(*query, [&](const IndexEntry& entry) {
    std::string text;
    if (!options.json) {
      text = line_of(entry);
    } else if (std::string error; !lines.read(entry, text, error)) {
      fmt::print(stderr, "smtpscope: {}\n", error);
      code = ExitCode::failed;
      return true;
    }
    text += '\n';
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();  // a reader that left ends the list
  });
  for (const std::string& problem : index.problems()) fmt::print(stderr, "smtpscope: {}\n", problem);
  if (shown == 0) {
    fmt::print(stderr, "smtpscope: no session in {} matches\n", options.store);
    return ExitCode::no_match;
  }
  return code;
}

}  // namespace

void register_list(CLI::App& app, ExitCode& exit_code) {
  const auto options = std::make_shared<ListOptions>();
  CLI::App* command = app.add_subcommand("list", "One line for each recorded session, newest last");
  command->add_option("--store", options->store, "Directory of the store")->capture_default_str();
  command->add_option("--sender", options->filters.senders,
                      "Address, network or range: 203.0.113.0/24, 10.2.3, 192.0.2.1-9");
  command->add_option("--code", options->filters.codes, "Breakdown, as rcpt-unknown-user");
  command->add_option("--phase", options->filters.phases, "Where it broke: connect, banner, helo, ...");
  command->add_option("--party", options->filters.parties, "Who broke it: sender, gateway, network, ...");
  command->add_option("--verdict", options->filters.verdicts, "delivered, breakdown, no-mail or unknown");
  command->add_option("--since", options->filters.since,
                      "Began at or after: 2026-11-24T02:06:41Z, 2026-11-24, or 2h ago");
  command->add_option("--until", options->filters.until, "Began before");
  command->add_flag("--json", options->json, "The transcripts as they stand, one JSON object a line");
  command->callback([options, &exit_code] { exit_code = list(*options); });
}

}  // namespace smtpscope
