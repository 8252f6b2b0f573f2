#include "proxy/commands/divert_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "capture/summary/words.h"
#include "capture/transcript/json_text.h"
#include "config/address_set.h"
#include "proxy/clock.h"
#include "proxy/divert/host_facts.h"

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

constexpr size_t kMostShown = 20;

const char* word_of(DivertStatus::Is is) {
  return is == DivertStatus::Is::off ? "off" : is == DivertStatus::Is::on ? "on" : "unfinished";
}

/// Both families; "any" is all of both.
std::vector<std::string> senders_of(const DivertStatus& s) {
  std::vector<std::string> all;
  for (const AddressRanges& family : s.in_force)
    for (std::string& words : address_words(family)) all.push_back(std::move(words));
  if (all == std::vector<std::string>{"any IPv4 address", "any IPv6 address"}) return {"any"};
  return all;
}

/// Where connections go to that are diverted; empty: anywhere.
std::vector<std::string> destinations_of(const DivertState& state) {
  std::vector<std::string> all;
  const json intent = json::parse(state.intent, nullptr, false);
  for (const char* family : {"ipv4", "ipv6"}) {
    if (!intent.is_object() || !intent.contains(family)) continue;
    const std::string text = intent[family].value("destinations", "");
    all.push_back(text.empty() ? fmt::format("any {} address", family[3] == '4' ? "IPv4" : "IPv6") : text);
  }
  return all;
}

std::string listed(const std::vector<std::string>& all) {
  const size_t shown = std::min(all.size(), kMostShown);
  return fmt::format("{}{}", fmt::join(all.begin(), all.begin() + static_cast<ptrdiff_t>(shown), ", "),
                     shown < all.size() ? fmt::format(" and {} more (--json)", all.size() - shown) : "");
}

/// The kernel tells whole seconds.
int64_t until_us(const DivertStatus& s) {
  constexpr int64_t kSecond = 1'000'000;
  return (unix_us() + kSecond / 2) / kSecond * kSecond + static_cast<int64_t>(*s.ends_in_s) * kSecond;
}

std::string senders_text(const DivertStatus& s, const std::string& no_window) {
  if (s.is == DivertStatus::Is::unfinished && s.senders == 0)
    return "senders: none any more; sessions in progress keep to their way";
  if (s.ended && !no_window.empty())
    return no_window +
           ", and nobody is diverted. `smtpscope window open --sender ...` begins anew, `divert off` tidies up";
  if (s.ended)
    return "senders: none any more: the time of their windows is over, or these were closed. Everybody goes straight "
           "to "
           "the gateway; `divert off` tidies up";
  return fmt::format("senders: {}\n{}", listed(senders_of(s)),
                     s.ends_in_s
                         ? fmt::format("for another {}, until {}",
                                       span_text(static_cast<int64_t>(*s.ends_in_s) * 1'000'000), iso_utc(until_us(s)))
                         : "with no end in time");
}

}  // namespace

std::vector<std::string> address_words(const AddressRanges& ranges) {
  std::vector<std::string> all;
  for (const auto& range : AddressSet(ranges).ranges()) {
    const unsigned most = range.first.is_v4() ? 32 : 128;
    unsigned bits = 0;
    while (bits <= most && (range.first.network(bits) != range.first || range.first.broadcast(bits) != range.last))
      ++bits;
    if (bits == 0 && range.first.is_v4() == range.last.is_v4())
      all.push_back(range.first.is_v4() ? "any IPv4 address" : "any IPv6 address");
    else if (bits < most)
      all.push_back(fmt::format("{}/{}", range.first.to_string(), bits));
    else
      all.push_back(ranges_text({range}));
  }
  return all;
}

json divert_status_json(const DivertStatus& s, const OpenWindows& windows) {
  json out = {{"schema", "smtpscope.divert/1"}, {"state", word_of(s.is)}};
  if (s.state) {
    const DivertState& state = *s.state;
    json listening = json::object(), settings = json::array();
    for (size_t i = 0; i < 2; ++i)
      if (state.ports[i] != 0)
        listening[i == 1 ? "ipv6" : "ipv4"] = {{"port", state.ports[i]}, {"answered", s.listening[i]}};
    for (const ChangedSetting& c : state.settings)
      settings.push_back({{"name", c.name}, {"before", c.before}, {"during", c.during}});
    out["since"] = iso_utc(state.since_us);
    out["until"] = s.ends_in_s ? json(iso_utc(until_us(s))) : json();
    out["ends_in_s"] = s.ends_in_s ? json(*s.ends_in_s) : json();
    out["ended"] = s.ended;
    out["senders"] = s.senders;
    out["diverted"] = {{"senders", senders_of(s)}, {"destinations", destinations_of(state)}};
    out["port"] = state.port;
    out["listening"] = std::move(listening);
    out["sessions"] = s.sessions;
    out["table"] = kDivertTable;
    out["mark"] = state.numbers.mark;
    out["route_table"] = state.numbers.table;
    out["rule_priority"] = state.numbers.priority;
    out["conntrack_zone"] = state.numbers.zone == 0 ? json() : json(state.numbers.zone);
    out["settings"] = std::move(settings);
    out["intent"] = json::parse(state.intent, nullptr, false);
  }
  out["windows"] = windows.told ? json(windows.ids) : json();
  out["differences"] = s.differences;
  out["warnings"] = s.warnings;
  return out;
}

std::string divert_status_text(const DivertStatus& s, const std::string& no_window) {
  std::string out;
  const auto line = [&](const std::string& text) { out += text + "\n"; };
  if (!s.state) {
    line("off: nothing is diverted");
  } else {
    const DivertState& state = *s.state;
    line(fmt::format("{}, since the first `divert on` at {}: connections to port {} of {}", word_of(s.is),
                     iso_utc(state.since_us), state.port, listed(destinations_of(state))));
    line(senders_text(s, no_window));
    for (size_t i = 0; i < 2; ++i)
      if (state.ports[i] != 0)
        line(fmt::format(
            "IPv{}: port {}: {}", i == 1 ? 6 : 4, state.ports[i],
            s.listening[i] ? "the proxy listens" : "nobody listens, so that connections go straight to the gateway"));
    line(fmt::format("diverted sessions in progress: {}", s.sessions));
    line(fmt::format("nft table inet {}, mark {:#x}, ip rule priority {}, route table {}{}", kDivertTable,
                     state.numbers.mark, state.numbers.priority, state.numbers.table,
                     state.numbers.zone == 0 ? "" : fmt::format(", conntrack zone {}", state.numbers.zone)));
    for (const ChangedSetting& c : state.settings) line(fmt::format("{}: {} (before: {})", c.name, c.during, c.before));
  }
  for (const std::string& difference : s.differences) line("difference: " + difference);
  for (const std::string& warning : s.warnings) line("warning: " + warning);
  return out;
}

}  // namespace smtpscope
