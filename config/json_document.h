// JSON with comments, read into a tree that remembers where everything stood, so that an error can name line and
// column.
//
// RFC 8259 JSON, with // and /* */ comments and a byte order mark allowed. Stricter than most readers where a mistake
// of the operator's would otherwise be silent: the same key twice in an object is reported, and text must be valid
// UTF-8. Input is bounded (kMaxConfigSize, kMaxKeys, kMaxDepth); any bytes may be passed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace smtpscope {

inline constexpr size_t kMaxConfigSize = 1024 * 1024;
inline constexpr size_t kMaxKeys = 1000;  ///< in one object
inline constexpr unsigned kMaxDepth = 32;

/// Both count from 1; a column is a character, not a byte.
struct Position {
  uint32_t line = 1;
  uint32_t column = 1;
  bool operator==(const Position&) const = default;
};

struct JsonMember;

struct JsonNode {
  enum class Kind : uint8_t { null, boolean, integer, number, string, array, object };
  Kind kind = Kind::null;
  Position position;  ///< of the value's first character
  bool boolean = false;
  uint64_t integer = 0;             ///< Kind::integer: whole, not negative, fits
  std::string text;                 ///< a string's content; a number as it was written
  std::vector<JsonNode> items;      ///< of an array
  std::vector<JsonMember> members;  ///< of an object, in order; a repeated key only the first time

  const JsonNode* find(std::string_view key) const;
};

struct JsonMember {
  std::string key;
  Position position;  ///< of the key's opening quote
  JsonNode value;
};

/// What is wrong and where. The pointer (RFC 6901) is empty where there is none, as in a syntax error.
struct JsonFault {
  Position position;
  std::string pointer;
  std::string message;
};

struct JsonDocument {
  JsonNode root;
  std::vector<JsonFault> faults;  ///< repeated keys, and at most one syntax error, which is last and makes root useless
  bool readable = false;          ///< no syntax error
};

JsonDocument read_json(std::string_view text);

/// One step of a pointer with ~ and / escaped.
std::string pointer_step(std::string_view key);

/// "a boolean", "a string" ...: for messages.
std::string_view name_of(JsonNode::Kind kind);

}  // namespace smtpscope
