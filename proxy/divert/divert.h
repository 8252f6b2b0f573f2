// smtpscope divert: brings the kernel into the state that an intent wants, back into the one before, and says in which
// it is. Each change is recorded before it is made (state.h), so that every one of these may be cut off at any point
// and called again. Needs root.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "proxy/divert/command_runner.h"
#include "proxy/divert/intent.h"
#include "proxy/divert/packet_filter.h"
#include "proxy/divert/state.h"

namespace smtpscope {

/// Takes a sentence for the operator.
using Say = std::function<void(const std::string&)>;

/// Switches the diversion on; if it is on, brings it up to date and begins its time anew. Sessions in progress go on.
/// False if it could not be done: then all is as it was. Where a packet filter would drop what is diverted, it is not
/// begun, but for `force`.
bool divert_on(const DivertIntent& intent, const Say& say, bool force = false);

/// Switches it off and restores all that was changed. Sessions in progress get `wait_ms` to end, while new ones already
/// go straight to the gateway; where some are left, the diversion of these stays, and it is false. `cut`: they do not
/// count.
bool divert_off(uint64_t wait_ms, bool cut, const Say& say);

/// While it is on, nobody is diverted any more, until divert_on() again; sessions in progress go on. False if it could
/// not be done.
bool divert_nobody(const Say& say);

struct DivertPreview {
  DivertState state;
  std::vector<Command> on, off;
  std::vector<FilterObstacle> obstacles;
};
/// What divert_on() would run now, and divert_off() after it. Changes nothing.
Result<DivertPreview> preview_divert(const DivertIntent& intent);

struct DivertStatus {
  enum class Is : uint8_t { off, on, unfinished };
  Is is = Is::off;
  std::optional<DivertState> state;
  std::array<bool, 2> listening{};        ///< of the families that are diverted: does the proxy listen?
  uint64_t senders = 0;                   ///< addresses and ranges in the kernel's sets
  std::array<AddressRanges, 2> in_force;  ///< these, IPv4 and IPv6
  std::optional<uint64_t> ends_in_s;      ///< none: it does not end by itself, or has
  bool ended = false;                     ///< its time is over: nobody is diverted any more
  uint64_t sessions = 0;                  ///< diverted and in progress
  std::vector<std::string> differences;   ///< from what was set up, and from the intent; sentences
  std::vector<std::string> warnings;

  /// Does somebody listen for all that is diverted?
  bool answered() const;
};
/// `intent`: what is wanted; null if it is not known. `exact`: its senders are those whom a running proxy records now;
/// else it may be that some of their time is over.
Result<DivertStatus> divert_status(const DivertIntent* intent, bool exact = false);

}  // namespace smtpscope
