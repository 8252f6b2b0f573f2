// The configuration file to Settings. Whatever is wrong in it is reported with its place, one line a fault:
//
//   smtpscope.jsonc:7:5: /capture/sesions: unknown key; did you mean "sessions"?
//
// The keys are those of options.h. Nothing is required of a file as a whole, since flags of `run` may add what is
// missing; config/checks.h says whether the settings that result can be run.
#pragma once

#include <string>
#include <string_view>

#include "config/result.h"
#include "config/settings.h"

namespace smtpscope {

/// Defaults with what `text` says over them. The error holds up to 20 faults, in order of place, separated by newlines;
/// `file_name` stands at the beginning of each.
Result<Settings> load_settings_text(std::string_view text, std::string_view file_name);

/// As load_settings_text, for a file of at most 1 MiB. "FILE: cannot be read: ..." if there is none.
Result<Settings> load_settings_file(const std::string& path);

/// The whole text of a configuration file; errors as in load_settings_file.
Result<std::string> read_settings_text(const std::string& path);

/// "FILE:LINE:COL: POINTER: message" with the place at which the pointer's value, or the nearest thing around it,
/// stands in this text. For messages about settings that were loaded from it.
std::string locate_message(std::string_view text, std::string_view file_name, std::string_view pointer,
                           std::string_view message);

}  // namespace smtpscope
