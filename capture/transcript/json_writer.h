// A transcript as one line of JSON: schema smtpscope.transcript/1 (docs/transcript.schema.json).
#pragma once

#include <string>

#include "capture/transcript/transcript.h"

namespace smtpscope {

/// Appends the transcript to `out`: one JSON object, no line end. It is written for every session, so it appends to one
/// buffer and builds no tree. Same transcript, same bytes.
///
/// null where nothing is known (an empty string, an event index of -1, a reply without a code); the rare facts
/// "complete": false, "truncated", "bare_lf" of an event and its "end_ms" stand only where they say something.
void append_json(std::string& out, const Transcript& transcript);

}  // namespace smtpscope
