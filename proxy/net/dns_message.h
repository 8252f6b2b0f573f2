// DNS as far as senders' names need it: a question, and what an answer says to it. Pure; RFC 1035, 3596, 7505.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/ip.h"

namespace smtpscope {

/// The numbers of the DNS.
enum class DnsType : uint16_t { a = 1, ptr = 12, mx = 15, txt = 16, aaaa = 28 };

std::string_view type_name(DnsType type);

struct DnsQuestion {
  std::string name;  ///< without a dot at the end
  DnsType type = DnsType::a;
  bool operator==(const DnsQuestion&) const = default;
};

struct DnsAnswer {
  enum class Status : uint8_t {
    ok,       ///< there is at least one record of the type
    no_data,  ///< the name is there, but has none
    no_name,  ///< NXDOMAIN, or a name that cannot exist
    failed,   ///< it is not known: see failure
  };
  struct Exchanger {
    uint16_t preference = 0;
    std::string name;  ///< empty: the null MX
    bool operator==(const Exchanger&) const = default;
  };
  Status status = Status::no_data;
  uint32_t ttl_s = 0;                       ///< ok: the least of its records, and of the aliases that led there
  std::string failure;                      ///< as in "no answer in time"
  std::string_view failure_word = "error";  ///< failed: servfail, refused, timeout, unreachable, or error
  std::vector<IpAddress> addresses;         ///< A, AAAA
  std::vector<Exchanger> exchangers;        ///< MX, most preferred first
  std::vector<std::string> texts;           ///< TXT, the strings of each record joined
  std::vector<std::string> names;           ///< PTR

  static DnsAnswer failure_of(std::string why, std::string_view word = "error");
  /// In one word: ok, nxdomain, nodata, or the failure's.
  std::string_view word() const;
};

/// What a whole answer message says to this question; aliases (CNAME) are followed within it. Names come in lower
/// case; those with characters other than letters, digits, - and _ are left out.
DnsAnswer parse_dns_answer(std::span<const uint8_t> message, const DnsQuestion& question);

/// Can it be asked for: labels of 1..63 letters, digits, - and _, 253 characters in all?
bool is_dns_name(std::string_view name);
/// "9.113.0.203.in-addr.arpa", and for IPv6 32 nibbles and "ip6.arpa".
std::string reverse_name(const IpAddress& address);

}  // namespace smtpscope
