// smtpscope summary: what came of each sender, and what shows only across its sessions.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>

#include "capture/store/index.h"
#include "capture/store/window_log.h"
#include "capture/summary/summary.h"
#include "capture/summary/summary_text.h"
#include "capture/transcript/harmless.h"
#include "capture/transcript/json_reader.h"
#include "proxy/clock.h"
#include "proxy/commands/absent_sender.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/filter_options.h"
#include "proxy/commands/in_progress.h"
#include "proxy/commands/list_filters.h"
#include "proxy/commands/locate.h"
#include "proxy/commands/output.h"
#include "proxy/commands/stored_line.h"
#include "proxy/commands/window_ends.h"

namespace smtpscope {
namespace {

struct SummaryOptions {
  std::string config, store;
  ListFilters filters;
  bool json = false;
};

/// Does the query choose this session? `wider` has found it by its time already.
bool chooses(const IndexQuery& query, const IndexEntry& e) {
  if (!query.verdicts.empty() &&
      std::find(query.verdicts.begin(), query.verdicts.end(), e.verdict) == query.verdicts.end())
    return false;
  if (!finds(query, e)) return false;
  if (query.senders.empty()) return true;
  const auto address = address_bytes(e.sender_ip);
  return address && std::any_of(query.senders.begin(), query.senders.end(),
                                [&](const auto& range) { return range.first <= *address && *address <= range.second; });
}

/// All sessions in which a retry, a duplicate or a good session for comparison may stand: whole networks, all verdicts.
IndexQuery wider(const IndexQuery& query) {
  constexpr AddressBytes kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const auto host_part = [&](const AddressBytes& a) {  // its first byte
    return a.begin() + (std::equal(kMapped.begin(), kMapped.begin() + 12, a.begin()) ? 15 : 8);
  };
  IndexQuery wide;
  wide.senders = query.senders;
  for (auto& [first, last] : wide.senders) {
    std::fill(first.begin() + (host_part(first) - first.begin()), first.end(), uint8_t{0});
    std::fill(last.begin() + (host_part(last) - last.begin()), last.end(), uint8_t{0xff});
  }
  wide.since = query.since;
  wide.until = query.until;
  wide.by_sender = true;
  return wide;
}

class Command {
 public:
  Command(const SummaryOptions& options, std::string store, const IndexQuery& query)
      : options_(options), query_(query), store_(std::move(store)), index_(store_) {}

  ExitCode run() {
    windows_ = read_windows(store_, now_us_);
    const WindowEnds ends = window_ends();
    Summarizer summarizer([&](const std::string& ip) { return ends.of(ip); });
    asked_.assign(query_.senders.size(), 0);
    index_.query(wider(query_), [&](const IndexEntry& entry) {
      if (auto digest = read(entry)) {
        const bool counted = chooses(query_, entry);
        if (counted) note_asked(entry.sender_ip);
        summarizer.add(std::move(*digest), counted);
      }
      return true;
    });
    const std::vector<SenderSummary> senders = summarizer.finish();
    show(senders);
    for (const std::string& problem : index_.problems()) fmt::print(stderr, "smtpscope: {}\n", problem);
    if (!options_.json) tell_in_progress(store_);
    if (!senders.empty()) return code_;
    fmt::print(stderr, "smtpscope: no session in {} matches\n", store_);
    return ExitCode::no_match;
  }

 private:
  std::optional<SessionDigest> read(const IndexEntry& entry) {
    std::string error;
    if (lines_.read(entry, line_, error)) {
      if (auto digest = digest_line(line_)) return digest;
      error = fmt::format("{}: the transcript of {} makes no sense", entry.file, entry.id);
    }
    fmt::print(stderr, "smtpscope: {}\n", harmless(error));
    code_ = ExitCode::failed;
    return std::nullopt;
  }

  WindowEnds window_ends() {
    int64_t newest_us = 0;
    IndexQuery newest;
    newest.last = 1;
    index_.query(newest, [&](const IndexEntry& entry) {
      if (const auto digest = read(entry)) newest_us = digest->ended_us;
      return true;
    });
    return WindowEnds(windows_, newest_us, parse_iso_utc(query_.until).value_or(now_us_));
  }

  void note_asked(const std::string& ip) {
    const auto address = address_bytes(ip);
    for (size_t i = 0; address && i < asked_.size(); ++i)
      if (query_.senders[i].first <= *address && *address <= query_.senders[i].second) ++asked_[i];
  }

  void show(const std::vector<SenderSummary>& senders) {
    const TextOptions look = text_options();
    bool first = true;
    const auto put = [&](const std::string& text) {
      if (!options_.json && !first) std::fputc('\n', stdout);
      first = false;
      std::fwrite(text.data(), 1, text.size(), stdout);
    };
    for (const SenderSummary& s : senders) put(options_.json ? summary_json(s) + '\n' : summary_text(s, look));
    if (asked_.size() != options_.filters.senders.size()) return;  // "any" was among them
    for (size_t i = 0; i < asked_.size(); ++i) {
      if (asked_[i] > 0) continue;
      const AbsentSender absent = absence(i);
      put(options_.json ? absent_json(absent) + '\n' : notice_text(absent.sender, {absent.text, absent.next}, look));
    }
  }

  AbsentSender absence(size_t i) {
    IndexQuery all;
    all.senders = {query_.senders[i]};
    StoredElsewhere stored;
    stored.sessions = index_.query(all, [&](const IndexEntry& entry) {
      stored.newest_id = entry.id;
      stored.newest_started = entry.started;
      return true;
    });
    const auto moment = [](const std::string& text, int64_t missing) {
      return text.empty() ? missing : parse_iso_utc(text).value_or(missing);
    };
    const std::string& asked = options_.filters.senders[i];
    return absent_sender(asked, *parse_sender_spec(asked), stored, windows_,
                         moment(query_.since, std::numeric_limits<int64_t>::min()), moment(query_.until, now_us_),
                         now_us_);
  }

  const SummaryOptions& options_;
  const IndexQuery& query_;
  const std::string store_;
  const int64_t now_us_ = unix_us();
  Index index_;
  StoredLines lines_;
  std::string line_;
  std::vector<RecordingWindow> windows_;
  std::vector<uint64_t> asked_;  ///< sessions of each --sender
  ExitCode code_ = ExitCode::ok;
};

ExitCode summary(const SummaryOptions& options) {
  const Result<IndexQuery> query = query_of(options.filters, unix_us());
  if (!query) throw CLI::ValidationError(query.error());
  const Result<std::string> store = find_store(options.config, options.store);
  if (!store) {
    fmt::print(stderr, "{}\n", store.error());
    return ExitCode::config;
  }
  return Command(options, *store, *query).run();
}

}  // namespace

void register_summary(CLI::App& app, ExitCode& exit_code) {
  const auto options = std::make_shared<SummaryOptions>();
  CLI::App* command = app.add_subcommand("summary", "Per sender: what came of it, retries, duplicates, limits");
  add_store_options(*command, options->config, options->store);
  add_filter_options(*command, options->filters);
  command->add_flag("--json", options->json, "One JSON object a sender (docs/summary.schema.json)");
  command->callback([options, &exit_code] { exit_code = summary(*options); });
}

}  // namespace smtpscope
