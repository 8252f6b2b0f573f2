#include "capture/smtp/body_scanner.h"

#include <cstring>

namespace smtpscope {

void BodyScanner::line_end(bool crlf) {
  // Called with offset_ just behind the LF. The first empty line ends the header.
  if (!header_end_ && line_from_ && offset_ - *line_from_ <= (crlf ? 2U : 1U)) header_end_ = offset_;
  ++lines_;
  crlf_ = crlf;
  state_ = State::line_start;
  line_from_ = offset_;
}

/// Behind the header only line ends are counted and dots at a line's beginning matter: blocks without such a dot are
/// passed in one go. Returns the bytes passed, 0 or more.
size_t BodyScanner::pass_blocks(std::string_view bytes) {
  constexpr size_t kBlock = 256;
  size_t passed = 0;
  while (bytes.size() - passed > kBlock) {
    const char* const block = bytes.data() + passed;
    unsigned line_ends = 0, dot_lines = 0;
    for (size_t k = 0; k < kBlock; ++k) {  // no branch in it: compilers make vectors of this
      const unsigned line_end = block[k] == '\n' ? 1 : 0;
      line_ends += line_end;
      dot_lines += line_end & (block[k + 1] == '.' ? 1U : 0U);
    }
    if (dot_lines > 0) break;
    lines_ += line_ends;
    passed += kBlock;
  }
  if (passed == 0) return 0;
  offset_ += passed;
  previous_ = bytes[passed - 1];
  if (previous_ == '\n') {
    crlf_ = bytes[passed - 2] == '\r';
    state_ = State::line_start;
    line_from_ = offset_;
  }
  return passed;
}

size_t BodyScanner::feed(std::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size() && state_ != State::ended) {
    if (state_ == State::text) {
      if (header_end_) {
        if (const size_t passed = pass_blocks(bytes.substr(i)); passed > 0) {
          i += passed;
          continue;
        }
      }
      const void* lf = std::memchr(bytes.data() + i, '\n', bytes.size() - i);
      if (lf == nullptr) {
        offset_ += bytes.size() - i;
        previous_ = bytes.back();
        i = bytes.size();
        break;
      }
      const size_t at = static_cast<size_t>(static_cast<const char*>(lf) - bytes.data());
      const char before = at > i ? bytes[at - 1] : previous_;
      offset_ += at + 1 - i;
      i = at + 1;
      line_end(before == '\r');
      previous_ = '\n';
      continue;
    }
    const char c = bytes[i];
    if (state_ == State::line_start && c != '.') {
      state_ = State::text;  // read again as text
      continue;
    }
    ++i;
    ++offset_;
    if (state_ == State::line_start) {
      state_ = State::dot;
    } else if (c == '\n') {
      const bool crlf = state_ == State::dot_cr;
      if (crlf && crlf_) {
        state_ = State::ended;
      } else {
        if (!look_alike_) {
          look_alike_ = offset_;
          look_alike_content_ = offset_ - start_ - (crlf ? 3 : 2);
        }
        line_end(crlf);
      }
    } else {
      state_ = state_ == State::dot && c == '\r' ? State::dot_cr : State::text;
    }
    previous_ = c;
  }
  switch (state_) {
    case State::ended:
      safe_ = offset_ < start_ + 5 ? start_ : offset_ - 5;
      break;
    case State::dot_cr:
      safe_ = back(4);
      break;
    case State::dot:
      safe_ = back(3);
      break;
    case State::line_start:
      safe_ = back(2);
      break;
    case State::text:
      safe_ = previous_ == '\r' ? back(1) : offset_;
      break;
  }
  return i;
}

void BodyScanner::skip(uint64_t length) {
  offset_ += length;
  if (state_ != State::ended) state_ = State::text;
  previous_ = 0;
  safe_ = offset_;
  line_from_.reset();
}

uint64_t BodyScanner::content_length() const { return offset_ - start_ - (ended() ? 3 : 0); }

}  // namespace smtpscope
