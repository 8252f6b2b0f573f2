// smtpscope list: a line a session, oldest first, or with --json its transcript as it stands in the store.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "capture/diagnosis/catalogue.h"
#include "capture/store/index.h"
#include "capture/store/paths.h"
#include "capture/transcript/list_line.h"
#include "config/settings.h"
#include "config/units.h"
#include "proxy/clock.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/filter_options.h"
#include "proxy/commands/in_progress.h"
#include "proxy/commands/list_filters.h"
#include "proxy/commands/locate.h"
#include "proxy/commands/output.h"
#include "proxy/commands/stored_line.h"

namespace smtpscope {
namespace {

struct ListOptions {
  std::string config, store;
  ListFilters filters;
  bool json = false;
};

ListRow row_of(const IndexEntry& e) { return {e.started, e.id, e.sender_ip, e.verdict, e.code, e.summary, e.left_out}; }

ExitCode list(const ListOptions& options) {
  const Result<IndexQuery> query = query_of(options.filters, unix_us());
  if (!query) throw CLI::ValidationError(query.error());

  const Result<std::string> store = find_store(options.config, options.store);
  if (!store) {
    fmt::print(stderr, "{}\n", store.error());
    return ExitCode::config;
  }
  const TextOptions look = list_options();
  Index index(*store);
  ExitCode code = ExitCode::ok;
  StoredLines lines;
  const uint64_t shown = index.query(*query, [&](const IndexEntry& entry) {
    std::string text;
    if (!options.json) {
      text = list_line(row_of(entry), look.width, look.colour);
    } else if (std::string error; !lines.read(entry, text, error)) {
      fmt::print(stderr, "smtpscope: {}\n", error);
      code = ExitCode::failed;
      return true;
    }
    text += '\n';
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();  // a reader that left ends the list
  });
  for (const std::string& problem : index.problems()) fmt::print(stderr, "smtpscope: {}\n", problem);
  if (!options.json) tell_in_progress(*store);
  if (shown == 0) {
    if (!index.problems().empty()) return ExitCode::failed;
    fmt::print(stderr, "smtpscope: no session in {} matches\n", *store);
    if (std::error_code error; !std::filesystem::is_directory(*store + "/senders", error))
      fmt::print(stderr, "smtpscope: nothing was ever recorded there; --store or --config names the store of `run`\n");
    for (const std::string& wanted : options.filters.codes)
      if (find_rule(wanted) == nullptr)
        fmt::print(stderr, "smtpscope: there is no diagnosis {}; `smtpscope explain` lists them all\n",
                   smtpscope::quoted(std::string_view(wanted)));
    return ExitCode::no_match;
  }
  return code;
}

}  // namespace

void register_list(CLI::App& app, ExitCode& exit_code) {
  const auto options = std::make_shared<ListOptions>();
  CLI::App* command = app.add_subcommand("list", "One line for each recorded session, newest last; times are UTC");
  add_store_options(*command, options->config, options->store);
  add_filter_options(*command, options->filters);
  command->add_flag("--json", options->json, "The transcripts as they stand, one JSON object a line");
  command->callback([options, &exit_code] { exit_code = list(*options); });
}

}  // namespace smtpscope
