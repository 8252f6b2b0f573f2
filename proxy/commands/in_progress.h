// Sessions that a running proxy still records: `list` and its kin show those that are over.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace smtpscope {

/// Says on stderr how many there are, if a proxy runs with this store, lets itself be asked, and answers soon.
void tell_in_progress(const std::string& store);

/// "1 session in progress: ..."; none if the metrics tell of none. Pure.
std::optional<std::string> in_progress_text(std::string_view metrics);

}  // namespace smtpscope
