// The counts of the relay in Prometheus' text format (0.0.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "proxy/relay/header_refusals.h"
#include "proxy/relay/relay_metrics.h"

namespace smtpscope {

struct MetricsView {
  const RelayMetrics& relay;
  const HeaderRefusals& refusals;
  std::vector<size_t> recorder_backlogs;  ///< bytes that wait for each
  std::string version;
  std::vector<std::pair<std::string, uint64_t>> windows{};  ///< that are open, and their sessions so far
  std::map<std::string, uint64_t> windows_ended{};          ///< by cause
};

std::string metrics_text(const MetricsView& view);

}  // namespace smtpscope
