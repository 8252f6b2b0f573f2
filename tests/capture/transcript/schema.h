#pragma once

#include <string>

namespace smtpscope::test {

/// Fails the running test, with the reasons, unless this JSON is as docs/transcript.schema.json says.
void require_valid(const std::string& line);

}  // namespace smtpscope::test
