// The transcripts of the sessions in a recording: what recovery writes and `show FILE` prints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "capture/recording/pcapng_reader.h"
#include "capture/transcript/transcript.h"

namespace smtpscope {

/// Analyses the sessions of `file` for which `wanted` says true, and hands over each transcript when its session ends;
/// those that have no end come last, marked interrupted. `recording` is the file's name for the transcripts. Memory is
/// in proportion to the wanted sessions that are open at once.
ReadReport read_sessions(std::string_view file, std::string_view recording,
                         const std::function<bool(const SessionFacts&)>& wanted,
                         const std::function<void(Transcript&&)>& on_transcript);

}  // namespace smtpscope
