// What `smtpscope demo` plays: a table, one entry a session. Adding a session is adding an entry.
#pragma once

#include <span>
#include <string_view>

namespace smtpscope {

/// One session. Its sender has an address of its own, 127.0.1.1 for the first entry, so that the store gets a folder a
/// sender. The script has a line for each step, done one after the other; the next one begins when the other side has
/// seen this one:
///
///   S EHLO mx.sender.example     the sender sends this line and CR LF; lines of one side that follow each other go out
///   G 220 gw.example ESMTP       at once. G: the gateway
///   S~\x16\x03                   these bytes as they are
///   S body 4096                  so many bytes of message lines
///   S fin   G rst                the side ends its stream, or resets the connection
///   +0.5                         nobody does anything for so many seconds
struct Story {
  std::string_view title;    ///< one line: what the two sides do
  std::string_view verdict;  ///< what has to come of it, as the transcript spells it
  std::string_view code;     ///< of the breakdown; empty if there is none
  std::string_view lesson;   ///< not empty: its transcript is shown, below this line
  std::string_view script;
};

std::span<const Story> stories();

}  // namespace smtpscope
