#pragma once

namespace smtpscope {

/// "MAJOR.MINOR.PATCH" of this build.
const char* version();

}  // namespace smtpscope
