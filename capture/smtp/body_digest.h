// SHA-256 and the first bytes of one message body, fed piece by piece.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace smtpscope {

class BodyDigest {
 public:
  BodyDigest();
  ~BodyDigest();

  void restart();
  void feed(std::string_view bytes);
  /// Bytes were left out: no digest any more.
  void cut() { whole_ = false; }
  /// Hex SHA-256 of the first `length` bytes fed, which is all of them or at most 3 less (the final dot line); empty if
  /// not whole.
  std::string hex(uint64_t length);
  /// The Subject header field if it is among the first 2,048 bytes, else the first line; at most 200 bytes.
  std::string head() const;

 private:
  static constexpr size_t kHead = 2048;
  struct Context;
  std::unique_ptr<Context> context_;  ///< made at the first body
  std::string head_;
  char tail_[3] = {};  ///< the last bytes fed, not hashed yet: they may be the final dot line
  size_t tail_length_ = 0;
  uint64_t fed_ = 0;
  bool whole_ = true;
};

}  // namespace smtpscope
