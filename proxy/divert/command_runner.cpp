#include "proxy/divert/command_runner.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "capture/unique_fd.h"

namespace smtpscope {
namespace {

/// Files in memory in place of pipes: whoever writes much never waits for a reader.
UniqueFd memory_file(const std::string& content) {
  UniqueFd fd(memfd_create("smtpscope", MFD_CLOEXEC));
  size_t at = 0;
  while (fd && at < content.size()) {
    const ssize_t n = write(fd.get(), content.data() + at, content.size() - at);
    if (n < 0 && errno != EINTR) return UniqueFd();
    if (n > 0) at += static_cast<size_t>(n);
  }
  if (fd) lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string content_of(const UniqueFd& fd) {
  std::string text;
  std::array<char, 65536> piece{};
  lseek(fd.get(), 0, SEEK_SET);
  for (;;) {
    const ssize_t n = read(fd.get(), piece.data(), piece.size());
    if (n <= 0) return text;
    text.append(piece.data(), static_cast<size_t>(n));
  }
}

std::string quoted_word(const std::string& word) {
  constexpr const char* kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=-,+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string out;
  out += '\'';
  for (const char c : word)
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  out += '\'';
  return out;
}

}  // namespace

/// A user's PATH often lacks the folders of ip, nft and sysctl.
void complete_path() {
  const char* const path = std::getenv("PATH");
  std::string wanted = path == nullptr ? "/usr/bin:/bin" : path;
  if (wanted.ends_with(":/usr/sbin:/sbin")) return;
  setenv("PATH", (wanted + ":/usr/sbin:/sbin").c_str(), 1);
}

std::string Command::shell() const {
  std::string line;
  for (const std::string& word : words) line.append(line.empty() ? "" : " ").append(quoted_word(word));
  if (input.empty()) return line;
  return line + " <<'END'\n" + input + (input.ends_with('\n') ? "" : "\n") + "END";
}

CommandOutcome run_command(const Command& command) {
  complete_path();
  const UniqueFd input = memory_file(command.input), output = memory_file(""), errors = memory_file("");
  if (!input || !output || !errors) return {-1, std::strerror(errno)};
  std::vector<std::string> words = command.words;
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t streams;
  posix_spawn_file_actions_init(&streams);
  posix_spawn_file_actions_adddup2(&streams, input.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&streams, output.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&streams, errors.get(), STDERR_FILENO);
  pid_t child = 0;
  const int error = posix_spawnp(&child, arguments[0], &streams, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&streams);
  if (error != 0) return {127, command.words[0] + ": " + std::strerror(error)};

  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return {-1, std::strerror(errno)};
  CommandOutcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), content_of(output)};
  if (!outcome.ok()) outcome.output += content_of(errors);
  return outcome;
}

}  // namespace smtpscope
