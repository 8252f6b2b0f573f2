// The bytes of a capture file as a stream: read in large pieces, gzip taken off if it is there, never held as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace smtpscope {

/// Fills at most `size` bytes, gives back how many: 0 at the end, -1 and errno on an error.
using ReadBytes = std::function<std::ptrdiff_t(char* to, size_t size)>;

class ByteSource {
 public:
  explicit ByteSource(ReadBytes read);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  /// The next bytes, at least `size` of them unless the stream ends before. Valid until the next call of any function.
  std::string_view peek(size_t size);
  /// Goes past the next `size` bytes; false if the stream ends before.
  bool skip(uint64_t size);
  /// Where the next byte stands, bytes from the beginning (of the content, if it is compressed).
  uint64_t offset() const { return offset_; }
  bool compressed() const { return gzip_ != nullptr; }
  /// What went wrong with reading or unpacking, for a person; empty: nothing. The stream ends there.
  const std::string& error() const { return error_; }

 private:
  struct Gzip;
  size_t fill(char* to, size_t size);
  size_t read(char* to, size_t size);

  ReadBytes read_;
  std::unique_ptr<Gzip> gzip_;
  std::string buffer_;
  size_t begin_ = 0, end_ = 0;  ///< what of the buffer has not been consumed
  uint64_t offset_ = 0;
  bool ended_ = false;
  std::string error_;
};

}  // namespace smtpscope
