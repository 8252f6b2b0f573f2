#include "proxy/doctor/view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "capture/error_words.h"
#include "capture/smtp/syntax.h"
#include "capture/transcript/harmless.h"
#include "config/ip.h"

namespace smtpscope {
namespace {

constexpr size_t kShown = 120;
constexpr int64_t kSlowUs = 5'000'000;
constexpr uint16_t kHelloOk = 250;

std::string_view first_line(std::string_view text) { return text.substr(0, text.find('\n')); }
std::string shown(std::string_view text) { return fit(harmless(first_line(text)), kShown); }
double seconds(int64_t us) { return static_cast<double>(us) / 1e6; }

nlohmann::ordered_json facts_of(const ProbeResult& probe) {
  nlohmann::ordered_json facts = {{"local_ip", probe.local.ip},
                                  {"connect_ms", static_cast<double>(probe.connect_us) / 1000}};
  if (probe.path_mtu > 0) facts["path_mtu"] = probe.path_mtu;
  if (probe.greeting) {
    facts["greeting"] = harmless(first_line(probe.greeting->text));
    facts["greeting_ms"] = static_cast<double>(probe.greeting->at_us - probe.connect_us) / 1000;
  }
  if (const TalkReply* hello = probe.hello()) {
    auto& lines = facts["hello"] = nlohmann::ordered_json::array();
    for (std::string_view rest = hello->text; !rest.empty();) {
      lines.push_back(harmless(first_line(rest)));
      rest.remove_prefix(std::min(rest.size(), first_line(rest).size() + 1));
    }
    if (const auto named = client_named(hello->text)) facts["client_named"] = *named;
  }
  return facts;
}

/// The capabilities in an EHLO reply behind its first line; case does not matter.
std::set<std::string> capabilities(std::string_view reply) {
  std::set<std::string> all;
  while (!reply.empty()) {
    const std::string_view line = first_line(reply);
    reply.remove_prefix(std::min(reply.size(), line.size() + 1));
    std::string word(line.size() > 4 ? line.substr(4) : std::string_view());
    std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::toupper(c); });
    if (!word.empty()) all.insert(harmless(word));
  }
  return all;
}

/// Times and session numbers in greetings change from one to the next.
std::string without_digits(std::string_view text) {
  std::string kept;
  for (const char c : first_line(text))
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) kept += c;
  return kept;
}

}  // namespace

std::optional<std::string> client_named(std::string_view reply) {
  const std::string_view line = first_line(reply);
  for (size_t open = line.rfind('['); open != std::string_view::npos;
       open = open == 0 ? std::string_view::npos : line.rfind('[', open - 1)) {
    const size_t close = line.find(']', open);
    if (close == std::string_view::npos) continue;
    std::string_view inside = line.substr(open + 1, close - open - 1);
    if (starts_with_nocase(inside, "IPv6:")) inside.remove_prefix(5);
    if (const auto address = IpAddress::parse(inside)) return address->to_string();
  }
  return std::nullopt;
}

HostFinding judge_answer(const ProbeResult& probe, const std::string& gateway) {
  HostFinding finding;
  const TalkReply* hello = probe.hello();
  if (probe.end == ProbeResult::End::no_connection) {
    finding = fail(fmt::format("{} takes no connection: {}", gateway, error_words(probe.error)),
                   probe.error == "ECONNREFUSED" ? "is it running, and is the port right? (gateway.address)"
                                                 : "look at the route to it and at the firewalls on the way");
  } else if (probe.end == ProbeResult::End::stopped) {
    finding = skipped("stopped before it was known");
  } else if (!probe.greeting) {
    finding =
        probe.end == ProbeResult::End::silent
            ? fail(fmt::format("{} took the connection and sent no greeting in the time allowed", gateway),
                   "a gateway that expects a PROXY header waits for it (gateway.present: proxy-v1 or proxy-v2); one "
                   "that looks up names waits for its DNS")
            : fail(fmt::format("{} closed the connection without a greeting", gateway),
                   "its log says why: a limit of connections, an access list, a PROXY header in the wrong version");
  } else if (!probe.greeting->positive()) {
    finding =
        fail(fmt::format("{} turns this host away: {}", gateway, shown(probe.greeting->text)),
             "its access rules do not know this host; where it sees the sender's own address, senders may fare better");
  } else if (probe.end == ProbeResult::End::too_much) {
    finding = fail(fmt::format("{} sends without end", gateway), "is it an SMTP server?");
  } else if (hello == nullptr) {
    finding = fail(fmt::format("{} greets, and does not answer EHLO", gateway), "its log says why");
  } else if (hello->code != kHelloOk) {
    finding = warn(fmt::format("{} refuses EHLO: {}", gateway, shown(hello->text)),
                   "it may know no ESMTP, or refuse the name of this host");
  } else if (probe.greeting->at_us - probe.connect_us > kSlowUs) {
    finding = warn(
        fmt::format("{} greets only after {:.1f} s: {}", gateway, seconds(probe.greeting->at_us - probe.connect_us),
                    shown(probe.greeting->text)),
        "some senders give up on slow greetings. Look at the gateway's DNS, or at a pause that it makes on purpose");
  } else {
    finding = fine(fmt::format("{} answers after {:.0f} ms: {}", gateway,
                               static_cast<double>(probe.greeting->at_us) / 1000, shown(probe.greeting->text)));
  }
  finding.facts = facts_of(probe);
  return finding;
}

HostFinding view_of_local(Present present) {
  switch (present) {
    case Present::proxy:
      return warn(
          "the gateway is on this host and takes all senders for this host",
          "keep this host out of what it trusts (Postfix: mynetworks), or it relays for strangers; docs/DEPLOY.md "
          "shows how it can see the senders");
    case Present::sender:
      return fine(
          "the gateway is on this host and is to see the senders' own addresses: its replies have to be led back to "
          "the proxy (docs/DEPLOY.md, \"On the gateway's own host\"); only a session shows whether they are");
    default:
      return fine("the gateway is on this host and learns the senders' addresses from a PROXY header, if it reads one");
  }
}

HostFinding judge_view(Present present, const ProbeResult& probe, const std::string& gateway, bool may_present) {
  const TalkReply* hello = probe.hello();
  const auto named = hello != nullptr ? client_named(hello->text) : std::nullopt;
  const bool translated = named && *named != probe.local.ip;
  const std::string nat = translated
                              ? fmt::format("{} sees {} where this host is {}: addresses are translated on the way",
                                            gateway, *named, probe.local.ip)
                              : "";
  HostFinding finding;
  switch (present) {
    case Present::proxy:
      finding = warn(
          translated ? nat + ", and senders are not seen either"
                     : fmt::format("{} sees this host ({}) in place of the senders{}", gateway, probe.local.ip,
                                   named ? "" : ", by \"present\": \"proxy\"; it does not say so itself"),
          "its reputation, SPF and access checks judge this host. Keep this address out of what it trusts (Postfix: "
          "mynetworks); \"present\": \"sender\", \"proxy-v1\" or \"proxy-v2\" let it see the senders");
      break;
    case Present::sender:
      if (!may_present)
        finding = fail(
            "the gateway will see this host in place of the senders: this process may not open connections in their "
            "name (CAP_NET_ADMIN)",
            "run it by the unit file of the package, or as root");
      else if (translated)
        finding = warn(nat + "; it will not see the senders' own either",
                       "take the translation (NAT, masquerading) out of the way "
                       "between this host and the gateway");
      else
        finding = fine(fmt::format(
            "{} {}; sessions go to it in the sender's name. Whether its replies come back through this host, "
            "only a session shows",
            gateway, named ? "sees addresses as they are" : "does not say whom it sees"));
      break;
    default:
      if (!probe.unasked.empty() || hello == nullptr || hello->code != kHelloOk)
        finding = fail(fmt::format("{} does not take the PROXY header that \"present\" asks for: {}", gateway,
                                   shown(!probe.unasked.empty() ? probe.unasked[0].text
                                         : hello != nullptr     ? hello->text
                                                                : "no answer to EHLO")),
                       "let it expect one (Postfix: smtpd_upstream_proxy_protocol = haproxy; Exim: hosts_proxy), or "
                       "set \"present\" "
                       "to \"proxy\" or \"sender\"");
      else
        finding = fine(fmt::format("{} takes the PROXY header, and so learns the senders' addresses", gateway));
  }
  finding.facts = facts_of(probe);
  return finding;
}

HostFinding compare_probes(const ProbeResult& direct, const ProbeResult& proxied) {
  const TalkReply *one = direct.hello(), *other = proxied.hello();
  std::string differs;
  if (!proxied.greeting || other == nullptr)
    return fail(
        fmt::format("through the proxy the gateway {}", proxied.greeting ? "does not answer EHLO" : "does not greet"),
        "directly it does: the proxy's log and `smtpscope show last` say why");
  if (!direct.greeting || one == nullptr) return skipped("the gateway does not answer a direct session");
  if (without_digits(direct.greeting->text) != without_digits(proxied.greeting->text))
    differs = fmt::format("the greeting is another ({} directly, {} through the proxy)", shown(direct.greeting->text),
                          shown(proxied.greeting->text));
  const std::string_view rest_one = std::string_view(one->text).substr(first_line(one->text).size());
  const std::string_view rest_other = std::string_view(other->text).substr(first_line(other->text).size());
  const auto has = capabilities(rest_one), has_too = capabilities(rest_other);
  std::vector<std::string> missing, more;
  std::set_difference(has.begin(), has.end(), has_too.begin(), has_too.end(), std::back_inserter(missing));
  std::set_difference(has_too.begin(), has_too.end(), has.begin(), has.end(), std::back_inserter(more));
  if (!missing.empty())
    differs += fmt::format("{}it does not offer {}", differs.empty() ? "" : "; ", fmt::join(missing, ", "));
  if (!more.empty()) differs += fmt::format("{}it offers {} too", differs.empty() ? "" : "; ", fmt::join(more, ", "));
  const auto named = client_named(one->text), named_too = client_named(other->text);
  std::string seen;
  if (named && named_too) seen = fmt::format("; it sees {} directly, {} through the proxy", *named, *named_too);
  HostFinding finding = differs.empty()
                            ? fine("the gateway says the same directly and through the proxy" + seen)
                            : warn("through the proxy the gateway speaks otherwise: " + differs + seen,
                                   "it treats the two as different clients, by address: compare its rules for "
                                   "them (a sender group, a trusted network)");
  finding.facts = {{"direct", facts_of(direct)}, {"proxied", facts_of(proxied)}};
  return finding;
}

}  // namespace smtpscope
