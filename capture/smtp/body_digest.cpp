#include "capture/smtp/body_digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "capture/hex.h"
#include "capture/smtp/syntax.h"

namespace smtpscope {

struct BodyDigest::Context {
  EVP_MD_CTX* ctx = EVP_MD_CTX_new();
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(ctx); }
};

BodyDigest::BodyDigest() = default;
BodyDigest::~BodyDigest() = default;

void BodyDigest::restart() {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA2-256", nullptr);  // fetching it each time is slow
  if (!context_) context_ = std::make_unique<Context>();
  whole_ = EVP_DigestInit_ex2(context_->ctx, sha256, nullptr) == 1;
  head_.clear();
  tail_length_ = 0;
  fed_ = 0;
}

void BodyDigest::feed(std::string_view bytes) {
  fed_ += bytes.size();
  if (head_.size() < kHead) head_.append(bytes.substr(0, kHead - head_.size()));
  if (!whole_ || !context_) return;
  if (tail_length_ + bytes.size() <= sizeof tail_) {
    std::copy(bytes.begin(), bytes.end(), tail_ + tail_length_);
    tail_length_ += bytes.size();
    return;
  }
  // Hash all but the last three bytes of what is now known.
  const size_t hashable = tail_length_ + bytes.size() - sizeof tail_;
  const size_t from_tail = std::min(tail_length_, hashable);
  EVP_DigestUpdate(context_->ctx, tail_, from_tail);
  EVP_DigestUpdate(context_->ctx, bytes.data(), hashable - from_tail);
  std::memmove(tail_, tail_ + from_tail, tail_length_ - from_tail);
  tail_length_ -= from_tail;
  const std::string_view rest = bytes.substr(hashable - from_tail);
  std::copy(rest.begin(), rest.end(), tail_ + tail_length_);
  tail_length_ += rest.size();
}

std::string BodyDigest::hex(uint64_t length) {
  if (!whole_ || !context_ || length > fed_ || fed_ - length > tail_length_) return {};
  EVP_DigestUpdate(context_->ctx, tail_, tail_length_ - (fed_ - length));
  std::array<unsigned char, 32> hash{};
  unsigned size = 0;
  whole_ = false;  // the context is spent
  if (EVP_DigestFinal_ex(context_->ctx, hash.data(), &size) != 1) return {};
  return to_hex(hash);
}

std::string BodyDigest::head() const {
  std::string_view rest = head_;
  std::string_view first = rest.substr(0, rest.find_first_of("\r\n"));
  while (!rest.empty()) {
    const size_t lf = rest.find('\n');
    std::string_view line = rest.substr(0, lf);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) break;
    if (starts_with_nocase(line, "Subject:")) {
      first = line;
      break;
    }
    if (lf == std::string_view::npos) break;
    rest.remove_prefix(lf + 1);
  }
  return std::string(first.substr(0, 200));
}

}  // namespace smtpscope
