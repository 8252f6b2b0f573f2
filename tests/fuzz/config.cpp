// Any bytes as a configuration file and as a sender: no crash, bounded, and what is accepted survives being shown.
#include <cstdint>
#include <string_view>

#include "config/checks.h"
#include "config/loader.h"
#include "config/reference.h"
#include "config/sender_filter.h"
#include "config/sender_spec.h"
#include "config/units.h"
#include "proxy/divert/intent.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

namespace {

void check_settings(std::string_view text) {
  const auto settings = load_settings_text(text, "f");
  locate_message(text, "f", "/listeners/0/accept", "message");
  if (!settings) {
    demand(settings.error().starts_with("f:"));
    return;
  }
  contradictions(*settings);
  unavailable(*settings);
  plan_divert(*settings);
  undivertable_senders(*settings);
  demand(bool(SenderFilter::build(settings->capture.senders, settings->capture.exclude)));
  const std::string shown = effective_json(*settings);
  const auto again = load_settings_text(shown, "f");
  demand(bool(again) && effective_json(*again) == shown);
}

void check_texts(std::string_view text) {
  if (const auto ms = parse_duration_ms(text)) demand(*parse_duration_ms(format_duration_ms(*ms)) == *ms);
  if (const auto size = parse_size(text)) demand(*parse_size(format_size(*size)) == *size);
  if (const auto address = parse_host_port(text)) demand(*parse_host_port(format_host_port(*address)) == *address);
  const auto spec = parse_sender_spec(text);
  const auto filter = SenderFilter::build({std::string(text)}, {});
  demand(bool(spec) == bool(filter));
  if (!spec || spec->kind != SenderSpec::Kind::addresses) return;
  demand(spec->first <= spec->last && spec->first.family() == spec->last.family());
  demand(filter->match(spec->first) == text && filter->match(spec->last) == text);
  demand(IpAddress::parse(spec->first.to_string()) == spec->first);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_settings(text);
  check_texts(text);
  return 0;
}
