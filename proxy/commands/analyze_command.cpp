// smtpscope analyze: the engine of the proxy on files from anywhere. What kind of file it is, is decided by its first
// bytes; each kind ends in transcripts, which Printer shows. Captures are read together, in order of time.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <queue>
#include <string>
#include <system_error>
#include <vector>

#include "capture/foreign/capture_file.h"
#include "capture/foreign/injection_log_reader.h"
#include "capture/foreign/packet_reader.h"
#include "capture/foreign/session_collector.h"
#include "capture/store/filing.h"
#include "capture/transcript/json_writer.h"
#include "capture/transcript/list_line.h"
#include "capture/transcript/text_page.h"
#include "capture/unique_fd.h"
#include "proxy/clock.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/output.h"

namespace smtpscope {
namespace {

struct AnalyzeOptions {
  std::vector<std::string> files;
  std::string store;
  bool json = false;
};

/// Prints sessions. Lines for people are sorted by when a session began: one that is over waits while an older one is
/// still open, at most kMaxWaiting of them.
class Printer {
 public:
  static constexpr size_t kMaxWaiting = 200'000;

  explicit Printer(bool json) : json_(json), look_(list_options()) {}

  void show(const Transcript& transcript) {
    ++sessions_;
    if (json_) {
      line_.clear();
      append_json(line_, transcript);
      print(line_);
      return;
    }
    waiting_.push(
        {transcript.session.started_us, sessions_, list_line(list_row(transcript), look_.width, look_.colour)});
    if (waiting_.size() > kMaxWaiting) print_first();
  }
  void print_before(int64_t began_us) {
    while (!waiting_.empty() && waiting_.top().began_us < began_us) print_first();
  }
  uint64_t sessions() const { return sessions_; }
  /// Nobody reads what is printed any more.
  bool left() const { return left_; }

 private:
  struct Line {
    int64_t began_us;
    uint64_t number;
    std::string text;
    bool operator<(const Line& other) const {  // the first to be printed is the greatest
      return std::pair(began_us, number) > std::pair(other.began_us, other.number);
    }
  };
  void print_first() {
    print(waiting_.top().text);
    waiting_.pop();
  }
  void print(std::string_view line) {
    left_ = left_ || std::fwrite(line.data(), 1, line.size(), stdout) != line.size() || std::fputc('\n', stdout) == EOF;
  }

  bool json_;
  TextOptions look_;
  std::priority_queue<Line> waiting_;
  std::string line_;
  uint64_t sessions_ = 0;
  bool left_ = false;
};

/// What is to be said of a file besides transcripts; the error is for a person and names the place in the file.
struct FileReport {
  std::string error;
  std::string remark;
};

/// Reads from a descriptor; `error`, an errno, is what every read of it gives if it is not open.
std::unique_ptr<ByteSource> source_of(UniqueFd fd, int error) {
  const auto file = std::make_shared<UniqueFd>(std::move(fd));
  return std::make_unique<ByteSource>([file, error](char* to, size_t size) -> std::ptrdiff_t {
    if (*file) return ::read(file->get(), to, size);
    errno = error;
    return -1;
  });
}

std::unique_ptr<ByteSource> open_file(const std::string& path) {
  UniqueFd fd(path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  const int error = errno;
  return source_of(std::move(fd), error);
}

bool opens_again(const std::string& path) {
  struct stat info {};
  return path != "-" && ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

CaptureInput capture_input(const std::string& path, std::unique_ptr<ByteSource> opened) {
  CaptureInput input;
  input.name = path;
  input.opens_again = opens_again(path);
  if (input.opens_again) {
    input.open = [path] { return open_file(path); };
  } else {
    const auto kept = std::make_shared<std::unique_ptr<ByteSource>>(std::move(opened));
    input.open = [kept] { return std::move(*kept); };
  }
  return input;
}

FileReport said_of(const CaptureReport& report) {
  FileReport said{report.error, ""};
  if (report.unknown_packets > 0)
    said.remark = fmt::format("{} of {} packets are of the link type {}, which smtpscope does not know",
                              report.unknown_packets, report.packets, report.unknown_link);
  return said;
}

FileReport analyze_injection_log(ByteSource& source, Printer& printer, Filing* store) {
  InjectionLogReader reader(unix_us(), [&](Transcript transcript) {
    if (store != nullptr)
      if (auto place = store->begin(transcript.session)) place->ended(transcript);
    printer.show(transcript);
  });
  for (std::string_view piece = source.peek(1); !piece.empty(); piece = source.peek(1)) {
    reader.feed(piece);
    source.skip(piece.size());
  }
  const InjectionLogReport report = reader.finish();
  FileReport said{source.error(), ""};
  if (report.unknown > 0)
    said.remark = fmt::format("{} of {} lines are no part of the log; {}", report.unknown, report.lines, report.error);
  return said;
}

/// Says what went wrong with a file; false if something did.
bool tell(const std::string& path, const FileReport& report) {
  const std::string name = path == "-" ? "standard input" : path;
  if (!report.remark.empty()) fmt::print(stderr, "smtpscope: {}: {}\n", name, report.remark);
  if (report.error.empty()) return true;
  std::fflush(stdout);
  fmt::print(stderr, "smtpscope: {}: {}\n", name, report.error);
  return false;
}

bool analyze_captures(std::vector<CaptureInput>& captures, Printer& printer, Filing* store, bool nothing_else) {
  SessionCollector* open = nullptr;
  SessionCollector collector(
      [&](Transcript&& transcript) {
        printer.show(transcript);
        if (nothing_else) printer.print_before(open->oldest_us());
      },
      store);
  open = &collector;
  read_captures(captures, collector);
  collector.finish();
  bool fine = true;
  for (const CaptureInput& input : captures) fine = tell(input.name, said_of(input.report)) && fine;
  return fine;
}

ExitCode analyze(const AnalyzeOptions& options) {
  Printer printer(options.json);
  std::unique_ptr<Filing> store;
  if (!options.store.empty()) store = std::make_unique<Filing>(options.store);
  bool failed = false;
  std::vector<CaptureInput> captures;
  for (const std::string& path : options.files) {
    std::unique_ptr<ByteSource> source = open_file(path);
    // The kind of file.
    const std::string_view first_bytes = source->peek(4096);
    FileReport report;
    if (looks_like_capture(first_bytes))
      captures.push_back(capture_input(path, std::move(source)));
    else if (looks_like_injection_log(first_bytes))
      report = analyze_injection_log(*source, printer, store.get());
    else
      report.error = !source->error().empty() ? source->error()
                     : first_bytes.empty()    ? "the file is empty"
                                              : "neither pcap nor pcapng nor an injection debug log (byte 0)";
    failed = !tell(path, report) || failed;
  }
  failed = !analyze_captures(captures, printer, store.get(), captures.size() == options.files.size()) || failed;
  printer.print_before(INT64_MAX);
  if (store) {
    store->flush();
    fmt::print(stderr, "smtpscope: {} filed in {}{}\n", counted(store->filed(), "session"), options.store,
               store->already_there() > 0 ? fmt::format(", {} {} there already", store->already_there(),
                                                        store->already_there() == 1 ? "was" : "were")
                                          : "");
  }
  if (std::fflush(stdout) != 0 && !printer.left())
    throw std::system_error(errno, std::generic_category(), "standard output");
  if (failed) return ExitCode::failed;
  if (printer.sessions() > 0) return ExitCode::ok;
  fmt::print(stderr, "smtpscope: no SMTP session found\n");
  return ExitCode::no_match;
}

}  // namespace

void register_analyze(CLI::App& app, ExitCode& exit_code) {
  const auto options = std::make_shared<AnalyzeOptions>();
  CLI::App* command =
      app.add_subcommand("analyze", "The SMTP sessions in captures and injection debug logs that others made");
  command
      ->add_option("file", options->files,
                   "pcap or pcapng files (one capture may be in several) or Injection Debug Logs, gzip or not; - for "
                   "standard input")
      ->required();
  command->add_option("--store", options->store,
                      "Files the sessions in this folder too; without it nothing is kept for list and show");
  command->add_flag("--json", options->json, "Transcripts, one JSON object a line");
  command->callback([options, &exit_code] { exit_code = analyze(*options); });
}

}  // namespace smtpscope
