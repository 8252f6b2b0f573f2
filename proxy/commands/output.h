// How commands write for people.
#pragma once

#include "capture/transcript/text_view.h"

namespace smtpscope {

/// For standard output: a terminal gets its own width and colours (none with NO_COLOR), a pipe 100 columns.
TextOptions text_options();

/// For the lines of a list: a pipe gets them whole; in a narrow terminal each may take two rows.
TextOptions list_options();

}  // namespace smtpscope
