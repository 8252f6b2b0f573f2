#include "proxy/net/dns_message.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace smtpscope {
namespace {

constexpr size_t kHeader = 12;
constexpr uint16_t kCname = 5;
constexpr uint16_t kInternet = 1;
constexpr int kMaxJumps = 64;    // of one compressed name
constexpr int kMaxAliases = 12;  // on the way to the records

/// Reads forward through a message; after the first thing that does not fit, all is `bad`.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> message) : message_(message) {}

  bool bad() const { return bad_; }
  size_t at() const { return at_; }
  void go_to(size_t at) {
    at_ = at;
    bad_ = bad_ || at > message_.size();
  }
  uint32_t number(int bytes) {
    uint32_t value = 0;
    for (; bytes > 0; --bytes) value = value << 8 | byte();
    return value;
  }
  std::string text(size_t length) {
    if (bad_ || length > message_.size() - at_) {
      bad_ = true;
      return {};
    }
    std::string out(message_.begin() + static_cast<std::ptrdiff_t>(at_),
                    message_.begin() + static_cast<std::ptrdiff_t>(at_ + length));
    at_ += length;
    return out;
  }
  /// A name in lower case without its last dot; a dot within a label comes as a character that no name has.
  std::string name() {
    std::string out;
    std::optional<size_t> behind;
    for (int jumps = 0; !bad_;) {
      const uint32_t length = byte();
      if (length >= 0xC0) {
        const size_t target = (length & 0x3F) << 8 | byte();
        if (!behind) behind = at_;
        if (++jumps > kMaxJumps) bad_ = true;
        go_to(target);
      } else if (length >= 0x40) {
        bad_ = true;
      } else if (length == 0) {
        break;
      } else {
        std::string label = text(length);
        for (char& c : label) c = c == '.' ? '\0' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        if (!out.empty()) out += '.';
        out += label;
        if (out.size() > 255) bad_ = true;
      }
    }
    if (behind && !bad_) at_ = *behind;
    return out;
  }

 private:
  uint32_t byte() {
    if (at_ >= message_.size()) bad_ = true;
    return bad_ ? 0 : message_[at_++];
  }
  std::span<const uint8_t> message_;
  size_t at_ = 0;
  bool bad_ = false;
};

struct Record {
  std::string owner;
  uint32_t type = 0, ttl_s = 0;
  size_t begins = 0, ends = 0;  ///< of its data
};

void take(DnsAnswer& answer, DnsType type, const Record& record, Reader in) {
  in.go_to(record.begins);
  const size_t length = record.ends - record.begins;
  switch (type) {
    case DnsType::a:
    case DnsType::aaaa: {
      const std::string bytes = in.text(length);
      if (bytes.size() != (type == DnsType::a ? 4U : 16U)) return;
      if (const auto ip = IpAddress::from_bytes({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}))
        answer.addresses.push_back(*ip);
      return;
    }
    case DnsType::mx: {
      const auto preference = static_cast<uint16_t>(in.number(2));
      std::string name = in.name();
      if (!in.bad() && (name.empty() || is_dns_name(name))) answer.exchangers.push_back({preference, std::move(name)});
      return;
    }
    case DnsType::txt: {
      std::string text;
      while (!in.bad() && in.at() < record.ends) text += in.text(in.number(1));
      if (!in.bad() && in.at() == record.ends) answer.texts.push_back(std::move(text));
      return;
    }
    case DnsType::ptr: {
      std::string name = in.name();
      if (!in.bad() && is_dns_name(name)) answer.names.push_back(std::move(name));
      return;
    }
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

}  // namespace

std::string_view type_name(DnsType type) {
  switch (type) {
    case DnsType::a:
      return "A";
    case DnsType::ptr:
      return "PTR";
    case DnsType::mx:
      return "MX";
    case DnsType::txt:
      return "TXT";
    case DnsType::aaaa:
      return "AAAA";
  }
  return "?";
}

DnsAnswer DnsAnswer::failure_of(std::string why, std::string_view word) {
  DnsAnswer answer;
  answer.status = Status::failed;
  answer.failure = std::move(why);
  answer.failure_word = word;
  return answer;
}

std::string_view DnsAnswer::word() const {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::no_data:
      return "nodata";
    case Status::no_name:
      return "nxdomain";
    case Status::failed:
      return failure_word;
  }
  return "error";
}

DnsAnswer parse_dns_answer(std::span<const uint8_t> message, const DnsQuestion& question) {
  Reader in(message);
  in.go_to(2);
  const uint32_t flags = in.number(2), questions = in.number(2), count = in.number(2);
  in.go_to(kHeader);
  for (uint32_t i = 0; i < questions && !in.bad(); ++i) {
    in.name();
    in.number(4);
  }
  std::vector<Record> records;
  for (uint32_t i = 0; i < count && !in.bad(); ++i) {
    Record record;
    record.owner = in.name();
    record.type = in.number(2);
    const uint32_t network = in.number(2);
    record.ttl_s = in.number(4);
    if (record.ttl_s > 0x7FFFFFFF) record.ttl_s = 0;  // RFC 2181 8
    const uint32_t length = in.number(2);
    record.begins = in.at();
    record.ends = in.at() + length;
    in.go_to(record.ends);
    if (!in.bad() && network == kInternet) records.push_back(std::move(record));
  }
  if (in.bad() || (flags & 0x8000) == 0) return DnsAnswer::failure_of("an answer that is no DNS message");
  DnsAnswer answer;
  const uint32_t code = flags & 0xF;
  if (code == 3) answer.status = DnsAnswer::Status::no_name;
  if (code != 0 && code != 3) return DnsAnswer::failure_of(fmt::format("refused with DNS status {}", code));

  std::string owner = lower(question.name);
  answer.ttl_s = ~uint32_t{0};
  for (int aliases = 0; aliases < kMaxAliases; ++aliases) {
    const auto alias = std::find_if(records.begin(), records.end(),
                                    [&](const Record& r) { return r.type == kCname && r.owner == owner; });
    if (alias == records.end()) break;
    Reader data(message);
    data.go_to(alias->begins);
    owner = data.name();
    answer.ttl_s = std::min(answer.ttl_s, alias->ttl_s);
  }
  bool some = false;
  for (const Record& record : records) {
    if (record.type != static_cast<uint32_t>(question.type) || record.owner != owner) continue;
    some = true;
    answer.ttl_s = std::min(answer.ttl_s, record.ttl_s);
    take(answer, question.type, record, Reader(message));
  }
  if (some) answer.status = DnsAnswer::Status::ok;
  if (!some) answer.ttl_s = 0;
  std::stable_sort(answer.exchangers.begin(), answer.exchangers.end(),
                   [](const auto& a, const auto& b) { return a.preference < b.preference; });
  return answer;
}

bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const bool fine =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!fine || ++label > 63) return false;
  }
  return label > 0;
}

std::string reverse_name(const IpAddress& address) {
  if (address.is_v4()) {
    const uint32_t bits = address.v4_bits();
    return fmt::format("{}.{}.{}.{}.in-addr.arpa", bits & 255, bits >> 8 & 255, bits >> 16 & 255, bits >> 24);
  }
  std::string out;
  for (uint64_t half : {address.low(), address.high()})
    for (int i = 0; i < 16; ++i, half >>= 4) out += fmt::format("{:x}.", half & 15);
  return out + "ip6.arpa";
}

}  // namespace smtpscope
