// smtpscope show: one session in full, by its id (or the beginning of it, or "last"), as its stored transcript or as a
// recording of its own. With a file of ours in place of the id: what is in the file.
#include <unistd.h>

#include <fmt/format.h>
#include <unistd.h>
#include <cstdlib>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include "capture/recording/pcapng_reader.h"
#include "capture/store/index.h"
#include "capture/store/paths.h"
#include "capture/store/recording_sessions.h"
#include "capture/transcript/injection_log.h"
#include "capture/transcript/json_reader.h"
#include "capture/transcript/json_writer.h"
#include "capture/transcript/text_view.h"
#include "config/ip.h"
#include "config/settings.h"
#include "config/units.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/in_progress.h"
#include "proxy/commands/locate.h"
#include "proxy/commands/output.h"
#include "proxy/commands/stored_line.h"

namespace smtpscope {
namespace {

namespace fs = std::filesystem;

struct ShowOptions {
  std::string what;
  std::string config, store;
  std::string format = "text";
};

void print(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() || std::fflush(stdout) != 0)
    throw std::system_error(errno, std::generic_category(), "standard output");
}

ExitCode show_recording(const std::string& path, bool as_text) {
  const MappedFile file(path);
  uint64_t shown = 0;
  const ReadReport report = read_sessions(
      file.bytes(), fs::path(path).filename().string(), [](const SessionFacts&) { return true; },
      [&](const Transcript& transcript) {
        std::string line;
        if (as_text) {
          line = render_text(transcript, text_options());
        } else {
          append_json(line, transcript);
        }
        print(line + '\n');
        ++shown;
      });
  if (!report.error.empty()) fmt::print(stderr, "smtpscope: {}: {}\n", path, report.error);
  if (shown == 0)
    fmt::print(stderr,
               "smtpscope: {}: no session that smtpscope recorded; `smtpscope analyze {}` reads what others recorded\n",
               path, path);
  return shown > 0 ? ExitCode::ok : report.error.empty() ? ExitCode::no_match : ExitCode::failed;
}

ExitCode show_file(const ShowOptions& options) {
  const std::string& path = options.what;
  if (options.format == "pcapng" || options.format == "injection-log")
    throw CLI::ValidationError("--format " + options.format + " needs the ID of a session, not a file");
  if (path.ends_with(".jsonl")) {
    print(MappedFile(path).bytes());
    return ExitCode::ok;
  }
  return show_recording(path, options.format == "text");
}

std::string recording_of(const IndexEntry& entry) { return fs::path(entry.file).replace_extension(".pcapng").string(); }

ExitCode show_pcapng(const IndexEntry& entry) {
  const std::string path = recording_of(entry);
  const std::string cut = cut_session(MappedFile(path).bytes(), entry.id);
  if (cut.empty()) throw std::runtime_error(path + ": no packets of session " + entry.id);
  print(cut);
  return ExitCode::ok;
}

ExitCode show_injection_log(const IndexEntry& entry) {
  const std::string path = recording_of(entry);
  const MappedFile file(path);
  std::optional<uint64_t> wanted;
  std::optional<InjectionLog> log;
  std::string text;
  const ReadReport report = read_recording(file.bytes(), [&](uint64_t flow, const Record& record, ByteRange) {
    if (const auto* facts = std::get_if<SessionFacts>(&record); facts != nullptr && facts->id == entry.id) {
      wanted = flow;
      log.emplace(*facts);
    }
    if (log && wanted == flow) log->record(record, text);
  });
  if (!log)
    throw std::runtime_error(path + ": no packets of session " + entry.id +
                             (report.error.empty() ? "" : "; " + report.error));
  log->finish(text);
  print(text);
  return ExitCode::ok;
}

ExitCode show(const ShowOptions& options) {
  if (options.format == "pcapng" && ::isatty(STDOUT_FILENO) == 1)
    throw CLI::ValidationError("--format pcapng writes a binary file; send it to one: smtpscope show " + options.what +
                               " --format pcapng > session.pcapng");
  if (IpAddress::parse(options.what)) {
    fmt::print(stderr, "smtpscope: {0} is an address, not a session: smtpscope list --sender {0}\n", options.what);
    return ExitCode::usage;
  }
  std::error_code ignored;
  if (options.what.find_first_of("./") != std::string::npos || fs::is_regular_file(options.what, ignored))
    return show_file(options);

  const Result<std::string> store = find_store(options.config, options.store);
  if (!store) {
    fmt::print(stderr, "{}\n", store.error());
    return ExitCode::config;
  }
  Index index(*store);
  IndexQuery query;
  if (options.what == "last") {
    query.last = 1;
  } else {
    query.id_prefix = options.what;
    for (char& c : query.id_prefix)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');  // ULIDs are upper case
  }
  std::vector<IndexEntry> found;
  index.query(query, [&](const IndexEntry& entry) {
    if (found.empty() || found.back().id != entry.id) found.push_back(entry);
    return found.size() < 5;
  });
  if (options.what == "last" && options.format == "text") tell_in_progress(*store);
  if (found.empty()) {
    fmt::print(stderr,
               "smtpscope: no session {} in {}; see smtpscope list (those of analyze are there if it had --store)\n",
               smtpscope::quoted(std::string_view(options.what)), *store);
    return ExitCode::no_match;
  }
  if (found.size() > 1) {
    std::string ids;
    for (const IndexEntry& entry : found) ids += "\n  " + harmless(entry.id) + "  from " + harmless(entry.sender_ip);
    fmt::print(stderr, "smtpscope: several sessions begin with {}; give more of the id:{}\n",
               smtpscope::quoted(std::string_view(options.what)), ids);
    return ExitCode::usage;
  }
  if (options.format == "pcapng") return show_pcapng(found.front());
  if (options.format == "injection-log") return show_injection_log(found.front());
  std::string line, error;
  if (!StoredLines().read(found.front(), line, error)) throw std::runtime_error(error);
  if (options.format == "json") {
    print(line + '\n');
    return ExitCode::ok;
  }
  const std::optional<Transcript> transcript = read_json(line, &error);
  if (!transcript) throw std::runtime_error("the transcript cannot be read: " + error);
  print(render_text(*transcript, text_options()));
  return ExitCode::ok;
}

}  // namespace

void register_show(CLI::App& app, ExitCode& exit_code) {
  const auto options = std::make_shared<ShowOptions>();
  CLI::App* command = app.add_subcommand("show", "One session in full");
  command
      ->add_option("session", options->what, "Its id, the beginning of its id, \"last\", or a .pcapng or .jsonl file")
      ->required();
  add_store_options(*command, options->config, options->store);
  command
      ->add_option("--format", options->format,
                   "text: for reading; json: the transcript; injection-log: as Cisco writes it; pcapng: its packets")
      ->check(CLI::IsMember({"text", "json", "injection-log", "pcapng"}))
      ->capture_default_str();
  command->callback([options, &exit_code] { exit_code = show(*options); });
}

}  // namespace smtpscope
