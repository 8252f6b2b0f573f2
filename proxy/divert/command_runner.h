// Programs that change the kernel: ip, nft, sysctl. Run one after the other, to their end.
#pragma once

#include <string>
#include <vector>

namespace smtpscope {

struct Command {
  std::vector<std::string> words;  ///< the program and its arguments
  std::string input;               ///< its standard input
  bool operator==(const Command&) const = default;

  /// As a shell takes it; the input as a here-document.
  std::string shell() const;
};

struct CommandOutcome {
  int status = -1;     ///< what it ended with; 127: there is no such program; negative: the signal that ended it
  std::string output;  ///< of both streams where it failed, else its standard output
  bool ok() const { return status == 0; }
};

/// Adds /usr/sbin and /sbin to PATH for this process, where they are missing, as run_command() does. Not while other
/// threads run.
void complete_path();

/// Looks in PATH, then in /usr/sbin and /sbin.
CommandOutcome run_command(const Command& command);

}  // namespace smtpscope
