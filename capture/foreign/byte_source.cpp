#include "capture/foreign/byte_source.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace smtpscope {
namespace {

constexpr size_t kPiece = size_t{256} * 1024;

}  // namespace

/// RFC 1952: members follow each other; each begins anew.
struct ByteSource::Gzip {
  z_stream stream{};
  std::string packed;
  bool in_member = true;
  bool usable = false;

  Gzip() : packed(kPiece, '\0') { usable = inflateInit2(&stream, 15 + 16) == Z_OK; }
  ~Gzip() {
    if (usable) inflateEnd(&stream);
  }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
};

ByteSource::ByteSource(ReadBytes read) : read_(std::move(read)) {
  const std::string_view magic = peek(2);
  if (magic.size() < 2 || magic[0] != '\x1f' || magic[1] != '\x8b') return;
  auto gzip = std::make_unique<Gzip>();
  if (!gzip->usable) {
    error_ = "no memory to unpack it";
    ended_ = true;
    begin_ = end_;
    return;
  }
  gzip->packed.assign(buffer_, begin_, end_ - begin_);
  gzip->stream.next_in = reinterpret_cast<Bytef*>(gzip->packed.data());
  gzip->stream.avail_in = static_cast<uInt>(gzip->packed.size());
  gzip_ = std::move(gzip);
  begin_ = end_ = 0;
  ended_ = false;
}

ByteSource::~ByteSource() = default;

size_t ByteSource::read(char* to, size_t size) {
  std::ptrdiff_t n = 0;
  do n = read_(to, size);
  while (n < 0 && errno == EINTR);
  if (n < 0) error_ = std::generic_category().message(errno);
  return n > 0 ? static_cast<size_t>(n) : 0;
}

size_t ByteSource::fill(char* to, size_t size) {
  if (!gzip_) return read(to, size);
  z_stream& z = gzip_->stream;
  z.next_out = reinterpret_cast<Bytef*>(to);
  z.avail_out = static_cast<uInt>(size);
  while (z.avail_out == size) {
    if (z.avail_in == 0) {
      gzip_->packed.resize(kPiece);
      z.next_in = reinterpret_cast<Bytef*>(gzip_->packed.data());
      z.avail_in = static_cast<uInt>(read(gzip_->packed.data(), kPiece));
      if (z.avail_in == 0) {
        if (gzip_->in_member && error_.empty()) error_ = "the compressed data is cut off";
        return 0;
      }
    }
    if (!gzip_->in_member) {
      // Zeros may pad the end of the last member.
      if (*z.next_in == 0) {
        ++z.next_in, --z.avail_in;
        continue;
      }
      inflateReset(&z);
      gzip_->in_member = true;
    }
    const int status = inflate(&z, Z_NO_FLUSH);
    if (status == Z_STREAM_END) {
      gzip_->in_member = false;
    } else if (status != Z_OK) {
      error_ = std::string("the compressed data is damaged: ") + (z.msg != nullptr ? z.msg : zError(status));
      break;
    }
  }
  return size - z.avail_out;
}

std::string_view ByteSource::peek(size_t size) {
  if (end_ - begin_ < size && !ended_) {
    if (begin_ > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    if (buffer_.size() < size + kPiece) buffer_.resize(size + kPiece);
    while (end_ < size) {
      const size_t n = fill(buffer_.data() + end_, buffer_.size() - end_);
      end_ += n;
      if (n == 0 || !error_.empty()) {
        ended_ = true;
        break;
      }
    }
  }
  return std::string_view(buffer_).substr(begin_, end_ - begin_);
}

bool ByteSource::skip(uint64_t size) {
  while (size > 0) {
    if (begin_ == end_ && peek(1).empty()) return false;
    const auto n = static_cast<size_t>(std::min<uint64_t>(size, end_ - begin_));
    begin_ += n;
    offset_ += n;
    size -= n;
  }
  return true;
}

}  // namespace smtpscope
