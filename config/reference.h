// What the table of options says, for people and programs: the settings in force as a file, the JSON Schema of the
// file, and the reference page docs/CONFIGURATION.md.
#pragma once

#include <string>

#include "config/settings.h"

namespace smtpscope {

/// Every option with its value, as JSON that load_settings_text reads back to the same settings. Options without a
/// value (no gateway yet, no control.listen) are left out. Ends with a newline.
std::string effective_json(const Settings& settings);

/// JSON Schema (draft-07) of a configuration file, comments aside. Ends with a newline.
std::string config_schema_json();

/// docs/CONFIGURATION.md, whole.
std::string config_markdown();

}  // namespace smtpscope
