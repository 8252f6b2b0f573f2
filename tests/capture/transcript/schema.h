#pragma once

#include <string>

namespace smtpscope::test {

/// Fails the running test, with the reasons, unless this JSON is as docs/transcript.schema.json says.
void require_valid(const std::string& line);
/// The same by another schema, a file in docs/.
void require_valid(const std::string& line, const std::string& schema_file);

}  // namespace smtpscope::test
