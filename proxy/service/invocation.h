// How this process was called, so that another one can be started in the same way: by the watchdog, or for an upgrade.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace smtpscope {

struct Invocation {
  std::vector<std::string> arguments;  ///< the program's name first

  /// Throws std::runtime_error if /proc is not there.
  static Invocation of_this_process();
};

/// The environment, with each of `changes` in place; an empty value takes a variable out.
std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& changes);

/// What execve() wants, made before a fork: behind it nothing may be allocated. `strings` stay where they are.
std::vector<char*> pointers(std::vector<std::string>& strings);

/// In a process forked for it: no handler of signals is left; of all signals only SIGHUP and SIGUSR2 are held back,
/// until the program can answer them (else they would end it). Then runs the program: found as a shell does,
/// so a new file in its place is what runs. Returns only if it could not, with errno. Allocates nothing.
void execute(const std::vector<char*>& arguments, const std::vector<char*>& environment);

/// Holds SIGHUP and SIGUSR2 back in this thread, or lets them come.
void hold_requests(bool hold);

}  // namespace smtpscope
