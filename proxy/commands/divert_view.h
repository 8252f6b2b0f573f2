// What `divert status` shows: as text and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "proxy/divert/divert.h"
#include "proxy/windows/open_windows.h"

namespace smtpscope {

/// One object of smtpscope.divert/1.
nlohmann::ordered_json divert_status_json(const DivertStatus& status, const OpenWindows& windows);

/// Some lines. `no_window`: that none is open, in words; empty: it is not so, or not known.
std::string divert_status_text(const DivertStatus& status, const std::string& no_window);

/// "203.0.113.0/24", "2001:db8::5-2001:db8::9", "any IPv4 address", each; ranges that touch are one.
std::vector<std::string> address_words(const AddressRanges& ranges);

}  // namespace smtpscope
