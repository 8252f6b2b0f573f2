// Which addresses a name among senders means: a host's (A, AAAA), a domain's mail exchangers' (MX), or those that its
// SPF record lets pass. Pure: it says what it has to know of the DNS, is told, and goes on, until it is done.
//
// SPF is evaluated as RFC 7208 says, but for all addresses at once: of each mechanism, in its order, those addresses
// count that no mechanism before has matched, and they are found if its qualifier is "+". Its limits hold: 10 terms
// that look something up, 2 of them in vain, 10 hosts of an MX; behind them, and behind any other permerror, nothing
// passes. What depends on the session (exists, ptr, most macros) has no addresses, and is told in `left_out`, as is
// "+all".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/address_set.h"
#include "config/sender_spec.h"
#include "proxy/names/spf_record.h"
#include "proxy/net/dns_message.h"

namespace smtpscope {

class AddressSearch {
 public:
  static constexpr int kMaxLookUps = 10;        ///< RFC 7208 4.6.4
  static constexpr int kMaxVoid = 2;            ///< RFC 7208 4.6.4
  static constexpr size_t kMaxExchangers = 10;  ///< RFC 7208 4.6.4
  static constexpr size_t kMaxRanges = 4096;    ///< of one name

  struct Found {
    AddressSet addresses;               ///< after a failure: what was found before it
    uint32_t ttl_s = ~uint32_t{0};      ///< the least of all answers
    std::vector<std::string> left_out;  ///< "exists:%{i}.x.example (it depends on the session)"
    std::string failure;                ///< why that is not all; empty: it is
  };

  /// `spec` has_addresses().
  explicit AddressSearch(const SenderSpec& spec);
  AddressSearch(AddressSearch&&) = default;
  AddressSearch& operator=(AddressSearch&&) = default;

  /// What it has to know now; empty when it is done.
  const std::vector<DnsQuestion>& questions() const { return questions_; }
  /// One answer to each of questions(), in their order.
  void answer(const std::vector<DnsAnswer>& answers);
  bool done() const { return questions_.empty(); }
  /// Gives up.
  void fail(std::string why);
  const Found& found() const { return found_; }

 private:
  enum class Asked : uint8_t { record, addresses, exchangers, exchanger_addresses };
  /// A record under evaluation.
  struct Frame {
    std::string domain;
    SpfTerm::Qualifier qualifier;  ///< of the include that led here
    SpfRecord record;
    size_t next = 0;  ///< term
    AddressSet matched, passed;
  };

  void ask_addresses(const std::vector<std::string>& hosts, Asked asked);
  void take_record(const DnsAnswer& answer);
  void take_addresses(const std::vector<DnsAnswer>& answers);
  void take_exchangers(const DnsAnswer& answer);
  void enter(const std::string& domain, SpfTerm::Qualifier qualifier);
  void go_on();
  void evaluate(const SpfTerm& term);
  void leave();
  /// Counts a term that looks something up; false if it is one too many.
  bool may_look_up();
  void left_out(const SpfTerm& term, const char* why);
  /// These addresses match the term in hand.
  void settle(SpfTerm::Qualifier qualifier, AddressSet addresses);

  SenderSpec spec_;
  std::vector<DnsQuestion> questions_;
  Asked asked_ = Asked::addresses;
  std::vector<Frame> frames_;  ///< of SPF; the last is in hand
  SpfTerm term_;               ///< a, mx: in hand
  int look_ups_ = 0, void_ = 0;
  Found found_;
};

}  // namespace smtpscope
