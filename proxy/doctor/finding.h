// What `doctor` says of one thing it looked at.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace smtpscope {

enum class Health : uint8_t { ok, warning, failed, skipped };

struct HostFinding {
  Health health = Health::ok;
  std::string says;                                                 ///< what was seen, one sentence
  std::string advice;                                               ///< what to do; empty where nothing is
  nlohmann::ordered_json facts = nlohmann::ordered_json::object();  ///< the same, for programs
};

inline HostFinding fine(std::string says) {
  return {Health::ok, std::move(says), "", nlohmann::ordered_json::object()};
}
inline HostFinding skipped(std::string why) {
  return {Health::skipped, std::move(why), "", nlohmann::ordered_json::object()};
}
inline HostFinding warn(std::string says, std::string advice) {
  return {Health::warning, std::move(says), std::move(advice), nlohmann::ordered_json::object()};
}
inline HostFinding fail(std::string says, std::string advice) {
  return {Health::failed, std::move(says), std::move(advice), nlohmann::ordered_json::object()};
}

using HostFindings = std::vector<HostFinding>;

}  // namespace smtpscope
