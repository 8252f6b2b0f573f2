#include "proxy/windows/window_request.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "config/json_document.h"
#include "config/sender_spec.h"
#include "config/units.h"

namespace smtpscope {
namespace {

class Reader {
 public:
  Result<WindowRequest> read(std::string_view json) {
    const JsonDocument document = read_json(json);
    for (const JsonFault& f : document.faults) fault(f.position, f.pointer, f.message);
    if (document.readable) members(document.root);
    if (faults_.empty())
      if (const auto error = fault_of(request_)) fault(document.root.position, "", error->message);
    if (!faults_.empty()) return Error{faults_};
    return request_;
  }

 private:
  void fault(Position at, std::string_view pointer, std::string_view message) {
    faults_ += fmt::format("{}{}:{}: {}{}{}", faults_.empty() ? "" : "\n", at.line, at.column, pointer,
                           pointer.empty() ? "" : ": ", message);
  }

  void members(const JsonNode& root) {
    if (root.kind != JsonNode::Kind::object) return fault(root.position, "", "must be an object, { ... }");
    for (const JsonMember& m : root.members) {
      if (m.key == "senders") {
        list(m.value, "/senders", request_.senders);
      } else if (m.key == "exclude") {
        list(m.value, "/exclude", request_.exclude);
      } else if (m.key == "sessions") {
        const bool unlimited = m.value.kind == JsonNode::Kind::string && m.value.text == kUnlimited;
        if (!unlimited && (m.value.kind != JsonNode::Kind::integer || m.value.integer == 0))
          fault(m.value.position, "/sessions", "must be a whole number from 1, or \"unlimited\"");
        request_.sessions = unlimited ? 0 : m.value.integer;
      } else if (m.key == "for") {
        if (m.value.kind != JsonNode::Kind::string)
          fault(m.value.position, "/for", "must be a text like \"30m\", or \"unlimited\"");
        else if (const auto ms = parse_duration_limit_ms(m.value.text))
          request_.for_ms = *ms;
        else
          fault(m.value.position, "/for", ms.error());
      } else if (m.key == "reason") {
        if (m.value.kind != JsonNode::Kind::string) fault(m.value.position, "/reason", "must be a text");
        request_.reason = m.value.text;
      } else {
        fault(m.position, fmt::format("/{}", pointer_step(m.key)),
              "unknown key; there are senders, exclude, sessions, for and reason");
      }
    }
  }

  void list(const JsonNode& value, const std::string& pointer, std::vector<std::string>& into) {
    if (value.kind == JsonNode::Kind::string) {
      into.push_back(value.text);
    } else if (value.kind == JsonNode::Kind::array) {
      for (const JsonNode& item : value.items) {
        if (item.kind != JsonNode::Kind::string)
          return fault(item.position, pointer, "must be a list of senders like [\"203.0.113.0/24\"]");
        into.push_back(item.text);
      }
    } else {
      fault(value.position, pointer, "must be a list of senders like [\"203.0.113.0/24\"]");
    }
  }

  WindowRequest request_;
  std::string faults_;
};

std::optional<Error> fault_in(const std::vector<std::string>& entries, std::string_view list) {
  if (entries.size() > kMostWindowEntries)
    return Error{fmt::format("{}: {} entries; at most {} can be asked for", list, entries.size(), kMostWindowEntries)};
  for (const std::string& entry : entries)
    if (const auto spec = parse_sender_spec(entry); !spec)
      return Error{fmt::format("{}: {}", list, spec.error())};
    else if (list == "exclude" && spec->kind == SenderSpec::Kind::any)
      return Error{"exclude: \"any\" excludes everyone: nobody would be recorded"};
  return std::nullopt;
}

}  // namespace

std::optional<Error> fault_of(const WindowRequest& request) {
  if (request.senders.empty()) return Error{"senders: nobody is named; \"any\" is everyone"};
  if (auto error = fault_in(request.senders, "senders")) return error;
  if (auto error = fault_in(request.exclude, "exclude")) return error;
  if (request.reason.size() > kMostReasonBytes)
    return Error{fmt::format("reason: {} bytes; it may have {}", request.reason.size(), kMostReasonBytes)};
  return std::nullopt;
}

Result<WindowRequest> read_window_request(std::string_view json) { return Reader().read(json); }

std::string window_request_json(const WindowRequest& request) {
  nlohmann::ordered_json out = {{"senders", request.senders}, {"exclude", request.exclude}};
  if (request.sessions != 0) out["sessions"] = request.sessions;
  out["for"] = format_duration_limit_ms(request.for_ms);
  if (!request.reason.empty()) out["reason"] = request.reason;
  return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace smtpscope
