// A transcript as text for a person: who and when, the verdict in one sentence, the conversation line by line with its
// silences, and the breakdown framed under the very line at which it happened. docs/READING.md explains it.
#pragma once

#include <string>

#include "capture/transcript/transcript.h"

namespace smtpscope {

struct TextOptions {
  int width = 100;      ///< columns that no line exceeds; taken as at least 60
  bool colour = false;  ///< ANSI colours
};

/// The whole view, each line ended by '\n'. Whatever the session's text holds, the result is printable characters and
/// line ends (and our own colours, if asked for): see harmless.h.
std::string render_text(const Transcript& transcript, const TextOptions& options);

}  // namespace smtpscope
