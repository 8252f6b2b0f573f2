// `smtpscope demo`: the proxy between a gateway and senders of its own, on loopback, and what it makes of them. Without
// --store everything happens in a temporary folder that is removed at the end. Status 0 if every session was diagnosed
// as what it was staged for.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "capture/address_bytes.h"
#include "capture/store/index.h"
#include "capture/store/paths.h"
#include "capture/transcript/json_reader.h"
#include "capture/transcript/json_text.h"
#include "capture/transcript/list_line.h"
#include "capture/transcript/text_view.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/output.h"
#include "proxy/commands/stored_line.h"
#include "proxy/demo/stage.h"
#include "proxy/relay/log.h"

namespace smtpscope {
namespace {

namespace fs = std::filesystem;

/// Turns SIGINT and SIGTERM into a readable descriptor while it lives.
class StopSignals {
 public:
  StopSignals() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_) throw std::runtime_error(fmt::format("eventfd: {}", std::strerror(errno)));
    told_ = event_.get();
    struct sigaction action {};
    action.sa_handler = [](int) {
      const int saved = errno;
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t n = ::write(told_, &one, sizeof one);
      errno = saved;
    };
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &before_[i]);
  }
  ~StopSignals() {
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  int descriptor() const { return event_.get(); }

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM};
  static inline volatile sig_atomic_t told_ = -1;
  UniqueFd event_;
  std::array<struct sigaction, kSignals.size()> before_{};
};

/// The store: the folder that was asked for, or a temporary one that goes when this does.
class DemoStore {
 public:
  explicit DemoStore(const std::string& asked) : path_(asked), temporary_(asked.empty()) {
    if (temporary_) {
      std::error_code error;
      const fs::path folder = fs::temp_directory_path(error);
      path_ = ((error ? fs::path("/tmp") : folder) / "smtpscope-demo.XXXXXX").string();
      if (::mkdtemp(path_.data()) == nullptr)
        throw std::runtime_error(fmt::format("cannot make a folder {}: {}", path_, std::strerror(errno)));
    } else if (const std::error_code error = make_private_directories(path_)) {
      throw std::runtime_error(fmt::format("cannot make the folder {}: {}", path_, error.message()));
    }
  }
  ~DemoStore() {
    std::error_code ignored;
    if (temporary_) fs::remove_all(path_, ignored);
  }
  DemoStore(const DemoStore&) = delete;
  DemoStore& operator=(const DemoStore&) = delete;
  const std::string& path() const { return path_; }
  bool temporary() const { return temporary_; }

 private:
  std::string path_;
  bool temporary_;
};

/// The transcript of each session as it stands in the store, in the order of the sessions.
std::vector<std::optional<Transcript>> read_back(const Performance& performance, const std::string& store) {
  std::vector<std::optional<Transcript>> found(performance.sessions.size());
  Index index(store);
  IndexQuery query;
  query.since = iso_utc(performance.began_us);  // another demo may have left its sessions in the same store
  for (const Staged& staged : performance.sessions)
    if (const auto address = address_bytes(staged.sender.ip)) query.senders.emplace_back(*address, *address);
  StoredLines lines;
  index.query(query, [&](const IndexEntry& entry) {
    std::string line, error;
    std::optional<Transcript> transcript;
    if (lines.read(entry, line, error)) transcript = read_json(line, &error);
    if (!transcript) fmt::print(stderr, "smtpscope: {}\n", error);
    for (size_t n = 0; transcript && n < found.size(); ++n) {
      const Endpoint& sender = performance.sessions[n].sender;
      if (sender.ip != transcript->session.sender.ip || sender.port != transcript->session.sender.port) continue;
      found[n] = std::move(transcript);
      break;
    }
    return true;
  });
  return found;
}

std::string outcome(std::string_view verdict, std::string_view code) {
  return code.empty() ? std::string(verdict) : fmt::format("{} ({})", verdict, code);
}

/// What is wrong with a session; empty if it came out as it was staged.
std::string fault_of(const Staged& staged, const std::optional<Transcript>& transcript) {
  if (!staged.error.empty()) return "could not be played: " + staged.error;
  if (!transcript) return "has no transcript in the store";
  const std::string wanted = outcome(staged.story->verdict, staged.story->code);
  const std::string got = outcome(name(transcript->verdict), transcript->breakdown ? transcript->breakdown->code : "");
  return got == wanted ? "" : fmt::format("came out as {}, not as {}", got, wanted);
}

/// As a shell takes it for one word.
std::string shell_word(const std::string& text) {
  if (!text.empty() &&
      text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:+,@%=") ==
          std::string::npos)
    return text;
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

std::string page(const Performance& performance, const std::vector<std::optional<Transcript>>& transcripts) {
  const TextOptions look = text_options(), lines = list_options();
  std::string text =
      fmt::format("{} sessions through the proxy, as `smtpscope list` shows them, each above what was staged:\n\n",
                  performance.sessions.size());
  for (size_t n = 0; n < transcripts.size(); ++n) {
    if (transcripts[n]) text += list_line(list_row(*transcripts[n]), lines.width, lines.colour) + '\n';
    text += fmt::format("    {}\n", performance.sessions[n].story->title);
  }
  for (size_t n = 0; n < transcripts.size(); ++n) {
    const Story& story = *performance.sessions[n].story;
    if (!transcripts[n] || story.lesson.empty()) continue;
    text += fmt::format("\n{}\n{}\n\n", std::string(static_cast<size_t>(look.width), '='), story.lesson);
    text += render_text(*transcripts[n], look);
  }
  return text + fmt::format("\n{}\n", std::string(static_cast<size_t>(look.width), '='));
}

std::string where_to_go_on(const DemoStore& store, const std::vector<std::optional<Transcript>>& transcripts) {
  const std::string program = shell_word(program_invocation_name);
  if (store.temporary())
    return fmt::format(
        "The recordings are in a temporary folder that is removed as this ends. To keep them and look further:\n\n"
        "    {0} demo --store smtpscope-demo\n    {0} list --store smtpscope-demo\n"
        "    {0} show last --store smtpscope-demo\n",
        program);
  const std::string folder = shell_word(store.path());
  std::string id = "last", code = "rcpt-unknown-user";
  for (const auto& transcript : transcripts)
    if (transcript && transcript->breakdown) {
      id = transcript->session.id;
      code = transcript->breakdown->code;
      break;
    }
  return fmt::format(
      "The files are in {1}: for each sender a folder senders/ADDRESS with the transcripts (.jsonl)\n"
      "and the recording (.pcapng; Wireshark opens it) of each day. Look further:\n\n"
      "    {0} list --store {1}\n    {0} list --store {1} --verdict breakdown --party sender\n"
      "    {0} show {2} --store {1}\n    {0} show {2} --store {1} --format pcapng > session.pcapng\n"
      "    {0} explain {3}\n",
      program, folder, id, code);
}

ExitCode demo(const std::string& asked_store) {
  log_to_stderr();
  spdlog::set_level(spdlog::level::warn);
  ::signal(SIGPIPE, SIG_IGN);  // a reader that leaves must not keep us from removing the temporary folder
  const StopSignals signals;
  const DemoStore store(asked_store);
  fmt::print(stderr, "smtpscope: playing {} sessions at once, which takes some seconds\n", stories().size());
  const Performance performance = perform(stories(), store.path(), signals.descriptor());
  if (performance.interrupted) {
    fmt::print(stderr, "smtpscope: interrupted\n");
    return ExitCode::failed;
  }
  const std::vector<std::optional<Transcript>> transcripts = read_back(performance, store.path());
  const std::string text = page(performance, transcripts) + where_to_go_on(store, transcripts);
  ExitCode code = ExitCode::ok;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    fmt::print(stderr, "smtpscope: standard output: {}\n", std::strerror(errno));
    code = ExitCode::failed;
  }
  for (size_t n = 0; n < transcripts.size(); ++n) {
    const Staged& staged = performance.sessions[n];
    const std::string fault = fault_of(staged, transcripts[n]);
    if (fault.empty()) continue;
    fmt::print(stderr, "smtpscope: demo: the session from {} (\"{}\") {}\n", staged.sender.ip, staged.story->title,
               fault);
    code = ExitCode::failed;
  }
  return code;
}

}  // namespace

void register_demo(CLI::App& app, ExitCode& exit_code) {
  const auto store = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("demo", "Senders and a gateway of its own, and what the proxy makes of them");
  command->add_option("--store", *store,
                      "Keep the recordings in this folder; default: a temporary one, removed at the end");
  command->callback([store, &exit_code] { exit_code = demo(*store); });
}

}  // namespace smtpscope
