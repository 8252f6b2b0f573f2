#include "config/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <type_traits>

#include "config/sender_spec.h"
#include "config/units.h"

namespace smtpscope {
namespace {

constexpr std::array<std::string_view, 3> kAccept{"direct", "tproxy", "proxy-protocol"};
constexpr std::array<std::string_view, 4> kPresent{"sender", "proxy", "proxy-v1", "proxy-v2"};
constexpr std::array<std::string_view, 3> kBody{"full", "headers", "none"};
constexpr std::array<std::string_view, 3> kStartTls{"pass", "intercept", "hide"};
constexpr std::array<std::string_view, 4> kLogLevel{"error", "warn", "info", "debug"};

// The lambdas below have no captures; this gives their return type once.
#define SMTPSCOPE_FIELD(expression) [](Settings& s, [[maybe_unused]] size_t i) -> OptionField { return &(expression); }

constexpr std::array<Option, 26> kOptions{{
    {.pointer = "/listeners/*/address",
     .kind = OptionKind::address,
     .field = SMTPSCOPE_FIELD(s.listeners[i].address),
     .help =
         "Address and port on which senders are awaited. 0.0.0.0 and [::] are all addresses of this host. With "
         "\"accept\": \"tproxy\" it is where the kernel hands over what it diverts: a port that nobody dials, as in "
         "\"0.0.0.0:10025\" and \"[::]:10025\".",
     .required = true},
    {.pointer = "/listeners/*/accept",
     .kind = OptionKind::choice,
     .field = SMTPSCOPE_FIELD(s.listeners[i].accept),
     .help = "How connections come: \"direct\" to this address, diverted by the kernel on their way to the gateway "
             "(\"tproxy\"; see `smtpscope divert`), or from a load balancer that sends a PROXY header "
             "(\"proxy-protocol\"). A diverted connection goes on to the address that its sender dialled.",
     .choices = kAccept},
    {.pointer = "/listeners/*/trusted",
     .kind = OptionKind::addresses,
     .field = SMTPSCOPE_FIELD(s.listeners[i].trusted),
     .help =
         "Load balancers whose PROXY header is believed; connections of all others are closed. Needed for, and only "
         "for, \"accept\": \"proxy-protocol\"."},
    {.pointer = "/listeners/*/header_timeout",
     .kind = OptionKind::duration,
     .field = SMTPSCOPE_FIELD(s.listeners[i].header_timeout_ms),
     .help = "How long a load balancer may take to send its PROXY header before its connection is closed."},
    {.pointer = "/gateway/address",
     .kind = OptionKind::address,
     .field = SMTPSCOPE_FIELD(s.gateway.address),
     .help = "Address and port of the mail gateway behind the proxy. Where all listeners are \"tproxy\" it may be left "
             "out: the gateway is then whatever the sender dialled on port 25. If it stands there, `smtpscope divert` "
             "takes its port in place of 25 and, of its family, diverts only what goes to this address."},
    {.pointer = "/gateway/present",
     .kind = OptionKind::choice,
     .field = SMTPSCOPE_FIELD(s.gateway.present),
     .help =
         "Whose address the gateway sees: the sender's own (\"sender\"; needs CAP_NET_ADMIN and the way back leading "
         "through this host), this host's (\"proxy\"), or this host's with the sender's in a PROXY protocol header "
         "(\"proxy-v1\", \"proxy-v2\").",
     .choices = kPresent},
    {.pointer = "/gateway/connect_timeout",
     .kind = OptionKind::duration_limit,
     .field = SMTPSCOPE_FIELD(s.gateway.connect_timeout_ms),
     .help =
         "How long the gateway may take to accept a connection before the sender is turned away. \"unlimited\" is as "
         "long as the operating system tries, as it would be without the proxy."},
    {.pointer = "/gateway/view_check",
     .kind = OptionKind::boolean,
     .field = SMTPSCOPE_FIELD(s.gateway.view_check),
     .help =
         "Whether the proxy asks the gateway, when it starts, whom it sees: one short session of its own (EHLO, QUIT; "
         "no mail), which stands in the gateway's log. The proxy's log says what came of it. A gateway on this host "
         "is not asked."},
    {.pointer = "/capture/senders",
     .kind = OptionKind::senders,
     .field = SMTPSCOPE_FIELD(s.capture.senders),
     .help =
         "Whose sessions are recorded; all others are relayed and leave no trace. \"any\" is everyone, [] is nobody "
         "until a window is opened (`smtpscope window open`)."},
    {.pointer = "/capture/exclude",
     .kind = OptionKind::senders,
     .field = SMTPSCOPE_FIELD(s.capture.exclude),
     .help = "Whose sessions are never recorded, even if \"senders\" names them. While it is not known whom a name "
             "here means, "
             "nobody is recorded."},
    {.pointer = "/capture/sessions",
     .kind = OptionKind::count_limit,
     .field = SMTPSCOPE_FIELD(s.capture.sessions),
     .help = "Recording ends after so many sessions; relaying goes on."},
    {.pointer = "/capture/for",
     .kind = OptionKind::duration_limit,
     .field = SMTPSCOPE_FIELD(s.capture.for_ms),
     .help = "Recording ends after so long; relaying goes on."},
    {.pointer = "/capture/body",
     .kind = OptionKind::choice,
     .field = SMTPSCOPE_FIELD(s.capture.body),
     .help = "What of each message is written to disk: all (\"full\"), only its header (\"headers\"), or nothing "
             "(\"none\"). Hashes and counts cover the whole message in any case.",
     .choices = kBody},
    {.pointer = "/capture/body_limit",
     .kind = OptionKind::size_limit,
     .field = SMTPSCOPE_FIELD(s.capture.body_limit),
     .help = "At most so much of each message is written to disk."},
    {.pointer = "/divert/destinations",
     .kind = OptionKind::addresses,
     .field = SMTPSCOPE_FIELD(s.divert.destinations),
     .help =
         "Only connections to these addresses are diverted, IPv4 and IPv6: the gateway's addresses, where it has more "
         "than the one in \"gateway\". Without them \"gateway\" decides."},
    {.pointer = "/divert/bridge",
     .kind = OptionKind::text,
     .field = SMTPSCOPE_FIELD(s.divert.bridge),
     .help =
         "The bridge (as in \"br0\") through which the senders reach the gateway, where this host does not route but "
         "bridge between them. It needs br_netfilter, and a \"tproxy\" listener on the gateway's own port."},
    {.pointer = "/starttls/mode",
     .kind = OptionKind::choice,
     .field = SMTPSCOPE_FIELD(s.starttls),
     .help = "What happens to STARTTLS: encrypted sessions pass unread (\"pass\"), are decrypted and encrypted again "
             "(\"intercept\"), or STARTTLS is not offered to the sender (\"hide\").",
     .choices = kStartTls,
     .not_yet = "\"intercept\" and \"hide\" are refused."},
    {.pointer = "/store/path",
     .kind = OptionKind::text,
     .field = SMTPSCOPE_FIELD(s.store.path),
     .help = "Directory of recordings and transcripts."},
    {.pointer = "/store/max_age",
     .kind = OptionKind::duration_limit,
     .field = SMTPSCOPE_FIELD(s.store.max_age_ms),
     .help = "How long recordings and transcripts are kept.",
     .not_yet = "it is read, and nothing is deleted: take old days out of the store's senders folder by hand."},
    {.pointer = "/store/max_size",
     .kind = OptionKind::size_limit,
     .field = SMTPSCOPE_FIELD(s.store.max_size),
     .help = "How large the store may grow; the oldest files go first.",
     .not_yet = "it is read, and nothing is deleted."},
    {.pointer = "/store/injection_log",
     .kind = OptionKind::boolean,
     .field = SMTPSCOPE_FIELD(s.store.injection_log),
     .help = "Whether each session is also written in the form of Cisco's injection debug logs.",
     .not_yet = "true is refused; `smtpscope show ID --format injection-log` writes one."},
    {.pointer = "/control/listen",
     .kind = OptionKind::address,
     .field = SMTPSCOPE_FIELD(s.control.listen),
     .help = "Address and port, best on 127.0.0.1, on which a running proxy answers HTTP: /livez, /readyz, /metrics "
             "(Prometheus), /windows and /reload. Without it there is none; commands on this host reach the proxy by a "
             "socket in the store."},
    {.pointer = "/control/token_file",
     .kind = OptionKind::text,
     .field = SMTPSCOPE_FIELD(s.control.token_file),
     .help =
         "File that holds the token which a request that changes something must present (Authorization: Bearer ...). "
         "Needed where \"listen\" is not an address of this host alone."},
    {.pointer = "/dns/look_up",
     .kind = OptionKind::boolean,
     .field = SMTPSCOPE_FIELD(s.dns.look_up),
     .help = "Whether the name of a sender's address is looked up when the gateway's greeting is late, to tell whether "
             "slow or missing reverse DNS is the cause."},
    {.pointer = "/dns/resolver",
     .kind = OptionKind::address,
     .field = SMTPSCOPE_FIELD(s.dns.resolver),
     .help = "Address and port of the name server to ask, for senders' names too, best the one that the gateway asks. "
             "Without "
             "it the system's."},
    {.pointer = "/log/level",
     .kind = OptionKind::choice,
     .field = SMTPSCOPE_FIELD(s.log.level),
     .help = "How much is logged to stderr: \"info\" is one line a recorded session.",
     .choices = kLogLevel},
}};

constexpr std::array<Option, 4> kTopLevel{{
    {.pointer = "/workers",
     .kind = OptionKind::integer,
     .field = SMTPSCOPE_FIELD(s.workers),
     .help =
         "Threads that relay, each with its share of the connections. Without it there is one for each processor that "
         "smtpscope may use, at most 4.",
     .min = 1,
     .max = 64},
    {.pointer = "/drain",
     .kind = OptionKind::duration,
     .field = SMTPSCOPE_FIELD(s.drain_ms),
     .help =
         "How long sessions in progress may go on after SIGTERM. What is left then is closed, and its transcript says "
         "that the proxy did it."},
    {.pointer = "/upgrade_drain",
     .kind = OptionKind::duration_limit,
     .field = SMTPSCOPE_FIELD(s.upgrade_drain_ms),
     .help = "The same for the old process of an upgrade (SIGUSR2), whose new connections the new one takes already."},
    {.pointer = "/user",
     .kind = OptionKind::text,
     .field = SMTPSCOPE_FIELD(s.user),
     .help =
         "The user that smtpscope becomes when root starts it; it keeps only the capabilities that the settings need. "
         "Recordings are that user's, who must be able to read this file and those named in it. A service manager that "
         "starts it as its user already, as the systemd unit does, needs none."},
}};

#undef SMTPSCOPE_FIELD

constexpr auto kAll = [] {
  std::array<Option, kOptions.size() + kTopLevel.size()> all{};
  std::copy(kTopLevel.begin(), kTopLevel.end(), std::copy(kOptions.begin(), kOptions.end(), all.begin()));
  return all;
}();

constexpr std::array<OptionSection, 9> kSections{{
    {"/listeners", "Where senders connect to. A list, one object each."},
    {"/gateway", "The mail gateway that the sessions are relayed to."},
    {"/capture", "What is recorded."},
    {"/divert", "What `smtpscope divert` asks of the kernel, besides whom \"capture\" names."},
    {"/starttls", "Encrypted sessions."},
    {"/store", "Where recordings and transcripts go, and for how long."},
    {"/control", "Health checks, metrics and windows of a running proxy."},
    {"/dns", "The proxy's own look-ups."},
    {"/log", "The log on stderr."},
}};

/// What a value is in the file's own terms, turned into a number: limits, durations, choices, plain numbers.
Result<uint64_t> number_of(const Option& option, const OptionValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  const auto* number = std::get_if<uint64_t>(&value);
  switch (option.kind) {
    case OptionKind::duration:
      if (text) return parse_duration_ms(*text);
      break;
    case OptionKind::duration_limit:
      if (text) return parse_duration_limit_ms(*text);
      break;
    case OptionKind::size_limit:
      if (text) return parse_size(*text);
      break;
    case OptionKind::count_limit:
      if (text && *text == kUnlimited) return uint64_t{0};
      if (number && *number > 0) return *number;
      break;
    case OptionKind::integer:
      if (number && *number >= option.min && *number <= option.max) return *number;
      break;
    case OptionKind::choice:
      if (text) {
        const auto found = std::find(option.choices.begin(), option.choices.end(), *text);
        if (found != option.choices.end()) return static_cast<uint64_t>(found - option.choices.begin());
        return Error{fmt::format("{} is none of {}", quoted(*text), fmt::join(option.choices, ", "))};
      }
      break;
    default:
      break;
  }
  return Error{fmt::format("must be {}", expected_value(option))};
}

OptionValue value_of(const Option& option, uint64_t number) {
  switch (option.kind) {
    case OptionKind::duration:
      return format_duration_ms(number);
    case OptionKind::duration_limit:
      return format_duration_limit_ms(number);
    case OptionKind::size_limit:
      return format_size(number);
    case OptionKind::count_limit:
      if (number == 0) return std::string(kUnlimited);
      return number;
    case OptionKind::choice:
      return std::string(option.choices[number]);
    case OptionKind::integer:
      if (number < option.min) return {};  // not set: see the option's help
      return number;
    default:
      return number;
  }
}

/// Writes through the pointer; one overload a type of field.
struct Writer {
  const Option& option;
  const OptionValue& value;

  Error wrong_type() const { return Error{fmt::format("must be {}", expected_value(option))}; }

  template <class T>
  std::optional<Error> operator()(T* field) const {
    if constexpr (std::is_same_v<T, HostPort> || std::is_same_v<T, std::optional<HostPort>>) {
      const auto* text = std::get_if<std::string>(&value);
      if (!text) return wrong_type();
      auto address = parse_host_port(*text);
      if (!address) return Error{address.error()};
      *field = *address;
    } else if constexpr (std::is_same_v<T, std::string>) {
      const auto* text = std::get_if<std::string>(&value);
      if (!text) return wrong_type();
      if (text->empty() || text->find('\0') != std::string::npos) return wrong_type();
      *field = *text;
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      const auto* list = std::get_if<std::vector<std::string>>(&value);
      if (!list) return wrong_type();
      for (const std::string& entry : *list) {
        if (auto error = check_entry(option, entry)) return error;
      }
      *field = *list;
    } else if constexpr (std::is_same_v<T, bool>) {
      const auto* flag = std::get_if<bool>(&value);
      if (!flag) return wrong_type();
      *field = *flag;
    } else {
      const auto number = number_of(option, value);
      if (!number) return Error{number.error()};
      *field = static_cast<T>(*number);
    }
    return std::nullopt;
  }
};

struct Reader {
  const Option& option;

  OptionValue operator()(const HostPort* field) const {
    return field->port == 0 ? OptionValue() : OptionValue(format_host_port(*field));
  }
  OptionValue operator()(const std::optional<HostPort>* field) const {
    return *field ? OptionValue(format_host_port(**field)) : OptionValue();
  }
  OptionValue operator()(const std::string* field) const {
    return field->empty() ? OptionValue() : OptionValue(*field);
  }
  OptionValue operator()(const std::vector<std::string>* field) const { return *field; }
  OptionValue operator()(const bool* field) const { return *field; }
  template <class T>
  OptionValue operator()(const T* field) const {
    return value_of(option, static_cast<uint64_t>(*field));
  }
};

}  // namespace

std::span<const Option> options() { return kAll; }
std::span<const OptionSection> option_sections() { return kSections; }

std::optional<Error> write_option(const Option& option, Settings& settings, size_t listener, const OptionValue& value) {
  return std::visit(Writer{option, value}, option.field(settings, listener));
}

OptionValue read_option(const Option& option, Settings& settings, size_t listener) {
  return std::visit(Reader{option}, option.field(settings, listener));
}

std::optional<Error> check_entry(const Option& option, std::string_view entry) {
  const auto spec = parse_sender_spec(entry);
  if (!spec) return Error{spec.error()};
  if (option.kind == OptionKind::addresses && spec->kind == SenderSpec::Kind::any) {
    return Error{"\"any\" would let everybody say who they are: name the load balancers' addresses"};
  }
  if (option.kind == OptionKind::addresses && spec->needs_dns()) {
    return Error{fmt::format("{} is a name: only addresses, networks and ranges can stand here", quoted(entry))};
  }
  return std::nullopt;
}

std::string expected_value(const Option& option) {
  switch (option.kind) {
    case OptionKind::address:
      return "a text like \"192.0.2.1:25\" or \"[2001:db8::1]:25\"";
    case OptionKind::choice:
      return fmt::format("one of \"{}\"", fmt::join(option.choices, "\", \""));
    case OptionKind::text:
      return "a text that is not empty";
    case OptionKind::duration:
      return "a text like \"10s\" or \"2m\"";
    case OptionKind::duration_limit:
      return "a text like \"90s\", \"30m\" or \"7d\", or \"unlimited\"";
    case OptionKind::size_limit:
      return "a text like \"64KiB\", \"1MiB\" or \"10GiB\", or \"unlimited\"";
    case OptionKind::count_limit:
      return "a whole number from 1, or \"unlimited\"";
    case OptionKind::integer:
      return fmt::format("a whole number from {} to {}", option.min, option.max);
    case OptionKind::boolean:
      return "true or false";
    case OptionKind::senders:
      return "a list of senders like [\"203.0.113.0/24\", \"10.2.3\"], or \"any\"";
    case OptionKind::addresses:
      return "a list of addresses like [\"203.0.113.0/24\", \"10.2.3.4\"]";
  }
  return {};
}

}  // namespace smtpscope
