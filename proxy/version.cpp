#include "proxy/version.h"

namespace smtpscope {

const char* version() { return SMTPSCOPE_VERSION; }

}  // namespace smtpscope
