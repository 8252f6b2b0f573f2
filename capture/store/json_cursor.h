// One pass over JSON that we wrote ourselves, without a tree: what is not asked for is skipped, not checked. For lines
// of which there may be a hundred thousand. Never throws but std::bad_alloc, never reads behind the end.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "capture/transcript/plain.h"

namespace smtpscope {

/// A cursor over one JSON object. Every step says whether it could be made; none reads behind the end.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) {}

  bool accept(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool peek(char c) {
    space();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool done() {
    space();
    return at_ == text_.size();
  }

  /// A string's contents as they stand, escapes and all.
  bool string(std::string_view& contents) {
    if (!accept('"')) return false;
    const size_t begin = at_;
    while (at_ < text_.size()) {
      at_ += plain_length(text_.substr(at_));
      if (at_ >= text_.size()) break;
      if (text_[at_] == '"') {
        contents = text_.substr(begin, at_++ - begin);
        return true;
      }
      at_ += text_[at_] == '\\' ? 2U : 1U;
    }
    at_ = text_.size();
    return false;
  }

  /// Any value; of one that is not a string, its text.
  bool value(std::string_view& raw) {
    space();
    const size_t begin = at_;
    std::string_view ignored;
    size_t depth = 0;
    do {
      space();
      if (at_ >= text_.size()) return false;
      const char c = text_[at_];
      if (c == '"') {
        if (!string(ignored)) return false;
      } else if (c == '{' || c == '[') {
        ++depth, ++at_;
      } else if (c == '}' || c == ']') {
        if (depth == 0) return false;
        --depth, ++at_;
      } else if (c == ',' || c == ':') {
        if (depth == 0) return false;
        ++at_;
      } else {
        while (at_ < text_.size() && !ends_word(text_[at_])) ++at_;
      }
    } while (depth > 0);
    raw = text_.substr(begin, at_ - begin);
    return true;
  }

 private:
  static bool ends_word(char c) {
    return c == ',' || c == ':' || c == ']' || c == '}' || c == '"' || c == '{' || c == '[' || c == ' ' || c == '\t' ||
           c == '\r' || c == '\n';
  }
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r' || text_[at_] == '\n'))
      ++at_;
  }
  std::string_view text_;
  size_t at_ = 0;
};

/// The text of a JSON string (quotes and all); empty if the value is none. An escape that is none stays as it is.
std::string json_text_of(std::string_view value);

/// Calls on(key, value) for each member of the object; false if it is not a whole one.
template <class On>
bool json_members(std::string_view object, On on) {
  JsonCursor cursor(object);
  if (!cursor.accept('{')) return false;
  if (cursor.accept('}')) return cursor.done();
  do {
    std::string_view key, value;
    if (!cursor.string(key) || !cursor.accept(':') || !cursor.value(value)) return false;
    on(key, value);
  } while (cursor.accept(','));
  return cursor.accept('}') && cursor.done();
}

/// Calls on(value) for each element of the array; false if it is not a whole one.
template <class On>
bool json_elements(std::string_view array, On on) {
  JsonCursor cursor(array);
  if (!cursor.accept('[')) return false;
  if (cursor.accept(']')) return cursor.done();
  do {
    std::string_view value;
    if (!cursor.value(value)) return false;
    on(value);
  } while (cursor.accept(','));
  return cursor.accept(']') && cursor.done();
}

}  // namespace smtpscope
