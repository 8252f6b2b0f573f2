#include "capture/smtp/body_scanner.h"

#include <algorithm>
#include <cstring>

namespace smtpscope {

void BodyScanner::line_end(bool crlf) {
  // Called with offset_ just behind the LF. The first empty line ends the header.
  if (line_from_) note_line(*line_from_, offset_);
  if (!header_end_ && line_from_ && offset_ - *line_from_ <= (crlf ? 2U : 1U)) header_end_ = offset_;
  ++lines_;
  crlf_ = crlf;
  state_ = State::line_start;
  line_from_ = offset_;
}

namespace {

void count(BodyOddities::Seen& seen, uint64_t offset) {
  if (seen.count++ == 0) seen.first = offset;
}

/// What a run of bytes holds. No branch in the loop and all of it bytes: compilers make vectors of this. bytes[-1] and
/// bytes[size] are read.
struct Run {
  unsigned line_ends = 0;
  unsigned char dot_lines = 0;
  unsigned char odd = 0;   ///< CR and LF apart, or NUL
  unsigned char bits = 0;  ///< of all bytes
};

/// All ones if `yes`: what a vector's comparison gives, so that nothing has to be made a 1 of.
unsigned char mask(bool yes) { return static_cast<unsigned char>(-static_cast<int>(yes)); }

inline __attribute__((always_inline)) void add_run(Run& run, const char* bytes) {
  constexpr size_t kRun = 128;  // so that a byte can count its line ends
  const char* const before = bytes - 1;
  unsigned char line_ends = 0, dot_lines = 0, odd = 0, bits = 0;
  for (size_t k = 0; k < kRun; ++k) {
    const unsigned char line_end = mask(bytes[k] == '\n');
    line_ends = static_cast<unsigned char>(line_ends - line_end);
    dot_lines = static_cast<unsigned char>(dot_lines | (line_end & mask(bytes[k + 1] == '.')));
    odd = static_cast<unsigned char>(odd | (line_end ^ mask(before[k] == '\r')) | mask(bytes[k] == '\0'));
    bits = static_cast<unsigned char>(bits | static_cast<unsigned char>(bytes[k]));
  }
  run.line_ends += line_ends;
  run.dot_lines |= dot_lines;
  run.odd |= odd;
  run.bits |= bits;
}

constexpr size_t kBlock = 256;

inline __attribute__((always_inline)) Run run_of_block(const char* block) {
  Run run;
  add_run(run, block);
  add_run(run, block + kBlock / 2);
  return run;
}

// Bodies are most of what passes: where the processor has vectors of 32 bytes, they take half as long.
#if defined(__x86_64__)
__attribute__((target("avx2"))) Run wide_run_of_block(const char* block) { return run_of_block(block); }
Run plain_run_of_block(const char* block) { return run_of_block(block); }
const auto look_at_block = __builtin_cpu_supports("avx2") ? wide_run_of_block : plain_run_of_block;
#else
Run look_at_block(const char* block) { return run_of_block(block); }
#endif

/// How many of `bytes` stand behind a byte of one kind and are (or are not) of another.
template <class Test>
unsigned count_pairs(std::string_view bytes, char before, Test test) {
  unsigned n = test(before, bytes[0]) ? 1 : 0;
  for (size_t k = 1; k < bytes.size(); ++k) n += test(bytes[k - 1], bytes[k]) ? 1U : 0U;
  return n;
}

template <class Test>
void count_all(BodyOddities::Seen& seen, std::string_view bytes, uint64_t offset, char before, Test test) {
  const unsigned n = count_pairs(bytes, before, test);
  if (n > 0 && seen.count == 0) {
    size_t k = 0;
    for (char previous = before; !test(previous, bytes[k]); ++k) previous = bytes[k];
    seen.first = offset + k;
  }
  seen.count += n;
}

bool breaks_line(char c) { return c == '\r' || c == '\n' || c == '\0'; }

}  // namespace

void BodyScanner::note_line(uint64_t from, uint64_t to) {
  constexpr uint64_t kMaxLine = 1000;
  if (to - from > kMaxLine) count(odd_.long_line, from);
}

void BodyScanner::note_look_alike(uint64_t from, uint64_t to) {
  count(odd_.look_alike, from);
  if (odd_.look_alike.count == 1) odd_.look_alike_length = to - from;
}

void BodyScanner::look(std::string_view bytes) {
  const auto strange = [](char before, char c) {
    return static_cast<unsigned char>((mask(c == '\n') ^ mask(before == '\r')) | mask(c == '\0'));
  };
  auto odd = static_cast<unsigned char>(mask(dot_pending_ || previous_ == '\0') | strange(previous_, bytes[0]));
  auto bits = static_cast<unsigned char>(bytes[0]);
  for (size_t k = 1; k < bytes.size(); ++k) {
    odd = static_cast<unsigned char>(odd | strange(bytes[k - 1], bytes[k]));
    bits = static_cast<unsigned char>(bits | static_cast<unsigned char>(bytes[k]));
  }
  if (odd != 0 || (bits >= 0x80 && odd_.eight_bit.count == 0)) look_closely(bytes, offset_, previous_);
}

void BodyScanner::look_closely(std::string_view bytes, uint64_t offset, char before) {
  const uint64_t apart = odd_.bare_cr.count + odd_.nul.count;
  count_all(odd_.bare_lf, bytes, offset, before, [](char a, char b) { return (b == '\n') & (a != '\r'); });
  count_all(odd_.bare_cr, bytes, offset - 1, before, [](char a, char b) { return (b != '\n') & (a == '\r'); });
  count_all(odd_.nul, bytes, offset, before, [](char, char b) { return b == '\0'; });
  if (odd_.eight_bit.count == 0) {
    count_all(odd_.eight_bit, bytes, offset, before,
              [](char, char b) { return static_cast<unsigned char>(b) >= 0x80; });
    odd_.eight_bit.count = std::min<uint64_t>(odd_.eight_bit.count, 1);
  }
  if (odd_.bare_cr.count + odd_.nul.count == apart && !dot_pending_ && before != '\0') return;
  for (const char c : bytes) {  // dots behind LF are looked at by feed(); NUL on both sides is text in UTF-16
    if (dot_pending_ && breaks_line(c) && !(dot_nul_ && c == '\0')) note_look_alike(offset - 2, offset + 1);
    dot_pending_ = c == '.' && (before == '\r' || before == '\0');
    dot_nul_ = before == '\0';
    before = c;
    ++offset;
  }
}

/// Behind the header only line ends are counted and dots at a line's beginning matter: blocks without such a dot are
/// passed in one go. Returns the bytes passed, 0 or more.
size_t BodyScanner::pass_blocks(std::string_view bytes) {
  const char* const begin = bytes.data();
  if (bytes.size() < kBlock + 2 || bytes[0] == '\n') return 0;
  size_t passed = 1, without = 0;  // `without`: the last blocks, none of which holds a line end
  bool line_known = false;         // a line end was passed
  while (bytes.size() - passed > kBlock) {
    const char* const block = begin + passed;
    const Run run = look_at_block(block);
    if (run.dot_lines > 0) break;
    if (passed == 1) look(bytes.substr(0, 1));
    if (run.odd != 0 || dot_pending_ || block[-1] == '\0' || (run.bits >= 0x80 && odd_.eight_bit.count == 0))
      look_closely({block, kBlock}, offset_ + passed, block[-1]);
    if (run.line_ends == 0) {
      ++without;
    } else {
      if (without >= 2 || !line_known) {  // else the line that ends here is short
        const auto* lf = static_cast<const char*>(std::memchr(block, '\n', kBlock));
        const auto* from =
            static_cast<const char*>(line_known ? memrchr(begin, '\n', static_cast<size_t>(block - begin)) : nullptr);
        const uint64_t to = offset_ + static_cast<size_t>(lf + 1 - begin);
        if (from != nullptr)
          note_line(offset_ + static_cast<size_t>(from + 1 - begin), to);
        else if (line_from_)
          note_line(*line_from_, to);
      }
      without = 0;
      line_known = true;
    }
    lines_ += run.line_ends;
    passed += kBlock;
  }
  if (passed == 1) return 0;
  if (const void* lf = line_known ? memrchr(begin, '\n', passed) : nullptr)
    line_from_ = offset_ + static_cast<size_t>(static_cast<const char*>(lf) + 1 - begin);
  offset_ += passed;
  previous_ = bytes[passed - 1];
  if (previous_ == '\n') {
    crlf_ = bytes[passed - 2] == '\r';
    state_ = State::line_start;
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
        look(bytes.substr(i));
        offset_ += bytes.size() - i;
        previous_ = bytes.back();
        i = bytes.size();
        break;
      }
      const size_t at = static_cast<size_t>(static_cast<const char*>(lf) - bytes.data());
      look(bytes.substr(i, at + 1 - i));
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
    look(bytes.substr(i, 1));
    ++i;
    ++offset_;
    if (state_ == State::line_start) {
      state_ = State::dot;
    } else if (c == '\n') {
      const bool crlf = state_ == State::dot_cr;
      if (crlf && crlf_) {
        state_ = State::ended;
      } else {
        last_look_alike_ = offset_;
        note_look_alike(back((crlf ? 3U : 2U) + (crlf_ ? 2U : 1U)), offset_);
        if (!look_alike_) {
          look_alike_ = offset_;
          look_alike_from_ = back((crlf ? 3U : 2U) + (crlf_ ? 2U : 1U));
          look_alike_content_ = offset_ - start_ - (crlf ? 3 : 2);
        }
        line_end(crlf);
      }
    } else {
      // "." CR and no LF, or "." NUL
      if (state_ == State::dot_cr)
        note_look_alike(back(3U + (crlf_ ? 2U : 1U)), offset_ - 1);
      else if (c == '\0')
        note_look_alike(back(2U + (crlf_ ? 2U : 1U)), offset_);
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
  previous_ = ' ';
  dot_pending_ = false;
  safe_ = offset_;
  line_from_.reset();
}

uint64_t BodyScanner::content_length() const { return offset_ - start_ - (ended() ? 3 : 0); }

BodyOddities BodyScanner::oddities() const {
  BodyOddities odd = odd_;
  odd.stops_at_dot = state_ == State::dot || state_ == State::dot_cr ||
                     (state_ == State::line_start && last_look_alike_ == offset_ && offset_ > start_);
  return odd;
}

}  // namespace smtpscope
