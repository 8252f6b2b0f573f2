// The options of FILTERS, for list and its kin.
#pragma once

#include "proxy/commands/list_filters.h"

namespace CLI {
class App;
}

namespace smtpscope {

/// Adds --sender, --code, --phase, --party, --verdict, --since and --until; query_of() reads them.
void add_filter_options(CLI::App& command, ListFilters& filters);

}  // namespace smtpscope
