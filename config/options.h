// The one table of all options: name, kind, meaning, and the place in Settings that it fills. The loader's accepted
// keys, the JSON Schema, `config show --effective` and docs/CONFIGURATION.md come from it; an option is added by adding
// a row (and its field in settings.h, whose initialiser is the default).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/result.h"
#include "config/settings.h"

namespace smtpscope {

/// What a value looks like in the file.
enum class OptionKind : uint8_t {
  address,         ///< text, "192.0.2.1:25"
  choice,          ///< text, one of Option::choices
  text,            ///< text, not empty
  duration,        ///< text, "10s"; "0s" is allowed
  duration_limit,  ///< text, "30m", or "unlimited"
  size_limit,      ///< text, "1MiB", or "unlimited"
  count_limit,     ///< a whole number from 1, or the text "unlimited"
  integer,         ///< a whole number within Option::min..max
  boolean,
  senders,    ///< list of texts, each a sender_spec.h entry; one text alone is a list of one
  addresses,  ///< as senders, without names that need DNS
};

/// A field of Settings, to be read or written.
using OptionField = std::variant<HostPort*, std::optional<HostPort>*, std::string*, std::vector<std::string>*,
                                 uint64_t*, uint32_t*, bool*, Accept*, Present*, BodyPolicy*, StartTlsMode*, LogLevel*>;

/// A value on its way between file and field: texts, limits and choices as they stand in the file.
using OptionValue = std::variant<std::monostate, std::string, uint64_t, bool, std::vector<std::string>>;

struct Option {
  std::string_view pointer;  ///< RFC 6901; "*" is the index of a listener
  OptionKind kind;
  OptionField (*field)(Settings&, size_t listener);
  std::string_view help;                        ///< whole sentences, for a postmaster
  std::span<const std::string_view> choices{};  ///< for choice, in the order of the enum
  uint64_t min = 0;                             ///< for integer
  uint64_t max = 0;
  bool required = false;       ///< within its object, where that object is given
  std::string_view not_yet{};  ///< what this version cannot do of it, a sentence; empty: it does all
};

/// A section that holds options, for schema and docs.
struct OptionSection {
  std::string_view pointer;
  std::string_view help;
};

std::span<const Option> options();
std::span<const OptionSection> option_sections();

/// Checks a value and writes it. The error says what is wrong with the value; monostate and a value of the wrong type
/// are
std::optional<Error> write_option(const Option& option, Settings& settings, size_t listener, const OptionValue& value);
/// As it would stand in the file; monostate where the option has no value (no control.listen, no gateway.address).
OptionValue read_option(const Option& option, Settings& settings, size_t listener);
/// One entry of an option of kind senders or addresses.
std::optional<Error> check_entry(const Option& option, std::string_view entry);
/// "a text like \"30m\", or \"unlimited\"": what a value of this option looks like.
std::string expected_value(const Option& option);

}  // namespace smtpscope
