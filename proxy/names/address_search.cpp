#include "proxy/names/address_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/units.h"

namespace smtpscope {
namespace {

using Status = DnsAnswer::Status;
using Kind = SpfTerm::Kind;

constexpr size_t kMaxLeftOut = 8;

std::string failure_text(const DnsQuestion& question, const DnsAnswer& answer) {
  return fmt::format("{} of {}: {}", type_name(question.type), question.name, answer.failure);
}

AddressRange range_of(const IpAddress& address, unsigned bits4, unsigned bits6) {
  const unsigned bits = address.is_v4() ? bits4 : bits6;
  return {address.network(bits), address.broadcast(bits)};
}

}  // namespace

AddressSearch::AddressSearch(const SenderSpec& spec) : spec_(spec) {
  if (spec.kind == SenderSpec::Kind::host) {
    ask_addresses({spec.name}, Asked::addresses);
  } else if (spec.kind == SenderSpec::Kind::mx) {
    questions_ = {{spec.name, DnsType::mx}};
    asked_ = Asked::exchangers;
  } else {
    enter(spec.name, SpfTerm::Qualifier::pass);
  }
}

void AddressSearch::ask_addresses(const std::vector<std::string>& hosts, Asked asked) {
  for (const std::string& host : hosts) {
    questions_.push_back({host, DnsType::a});
    questions_.push_back({host, DnsType::aaaa});
  }
  asked_ = asked;
}

void AddressSearch::answer(const std::vector<DnsAnswer>& answers) {
  const std::vector<DnsQuestion> asked = std::exchange(questions_, {});
  if (answers.size() != asked.size()) return fail("the look-ups were not answered");
  for (const DnsAnswer& each : answers)
    if (each.status == Status::ok) found_.ttl_s = std::min(found_.ttl_s, each.ttl_s);
  // What is known of the addresses counts, though others failed.
  if (asked_ == Asked::addresses || asked_ == Asked::exchanger_addresses) take_addresses(answers);
  for (size_t i = 0; i < asked.size(); ++i)
    if (answers[i].status == Status::failed) return fail(failure_text(asked[i], answers[i]));
  if (asked_ == Asked::record) take_record(answers.front());
  if (asked_ == Asked::exchangers) take_exchangers(answers.front());
  go_on();
}

void AddressSearch::take_addresses(const std::vector<DnsAnswer>& answers) {
  std::vector<AddressRange> ranges;
  const auto is = [&](Status status) {
    return std::all_of(answers.begin(), answers.end(), [&](const auto& a) { return a.status == status; });
  };
  for (const DnsAnswer& each : answers)
    for (const IpAddress& address : each.addresses) ranges.push_back(range_of(address, term_.bits4, term_.bits6));
  const bool none = ranges.empty();
  AddressSet addresses(std::move(ranges));
  if (!frames_.empty()) {
    settle(term_.qualifier, std::move(addresses));
    if (none && asked_ == Asked::addresses && ++void_ > kMaxVoid)
      fail(fmt::format("the SPF record leads to more than {} names that are not there: gateways end with permerror",
                       kMaxVoid));
    return;
  }
  found_.addresses.add(addresses);
  if (found_.addresses.size() > kMaxRanges) return fail(fmt::format("more than {} addresses", kMaxRanges));
  if (none && is(Status::no_name))
    fail("there is no such host");
  else if (none &&
           std::none_of(answers.begin(), answers.end(), [](const auto& a) { return a.status == Status::failed; }))
    fail("it has no address");
}

void AddressSearch::take_exchangers(const DnsAnswer& answer) {
  std::vector<std::string> hosts;
  bool null = false;
  for (const auto& exchanger : answer.exchangers) {
    null = null || exchanger.name.empty();
    if (!exchanger.name.empty() && std::find(hosts.begin(), hosts.end(), exchanger.name) == hosts.end())
      hosts.push_back(exchanger.name);
  }
  if (!frames_.empty()) {
    if (hosts.empty() && !null && ++void_ > kMaxVoid)
      return fail(fmt::format(
          "the SPF record leads to more than {} names that are not there: gateways end with permerror", kMaxVoid));
    if (hosts.size() > kMaxExchangers)
      return fail(fmt::format("{}: more than {} mail exchangers: gateways end with permerror", quoted(term_.text),
                              kMaxExchangers));
    return ask_addresses(hosts, Asked::exchanger_addresses);
  }
  if (answer.status == Status::no_name) return fail("there is no such domain");
  if (hosts.empty() && null) return fail("it says that it takes no mail (null MX)");
  if (hosts.empty()) hosts.push_back(spec_.name);  // RFC 5321 5.1: without MX, the host of that name
  if (hosts.size() > kMaxExchangers) {
    found_.left_out.push_back(
        fmt::format("{} exchangers behind the first {}", hosts.size() - kMaxExchangers, kMaxExchangers));
    hosts.resize(kMaxExchangers);
  }
  ask_addresses(hosts, Asked::exchanger_addresses);
}

// ------------------------------------------------------------------ SPF

void AddressSearch::enter(const std::string& domain, SpfTerm::Qualifier qualifier) {
  for (const Frame& frame : frames_)
    if (frame.domain == domain)
      return fail(fmt::format("the SPF record of {} leads back to itself: gateways end with permerror", domain));
  frames_.push_back({domain, qualifier, {}, 0, {}, {}});
  if (!is_dns_name(domain)) return fail(fmt::format("the SPF record leads to {}, which is no name", quoted(domain)));
  questions_ = {{domain, DnsType::txt}};
  asked_ = Asked::record;
}

void AddressSearch::take_record(const DnsAnswer& answer) {
  const std::string& domain = frames_.back().domain;
  std::vector<std::string> records;
  std::copy_if(answer.texts.begin(), answer.texts.end(), std::back_inserter(records), is_spf_record);
  if (answer.status == Status::no_name) return fail(fmt::format("there is no domain {}", domain));
  if (records.empty()) return fail(fmt::format("{} has no SPF record", domain));
  if (records.size() > 1)
    return fail(fmt::format("{} has {} SPF records: gateways end with permerror", domain, records.size()));
  Result<SpfRecord> record = parse_spf_record(records.front());
  if (!record)
    return fail(fmt::format("the SPF record of {} is wrong, gateways end with permerror: {}", domain, record.error()));
  frames_.back().record = std::move(*record);
}

void AddressSearch::go_on() {
  while (!frames_.empty() && questions_.empty()) {
    Frame& frame = frames_.back();
    if (frame.next < frame.record.terms.size()) {
      evaluate(frame.record.terms[frame.next++]);
    } else if (!frame.record.redirect.empty()) {
      const std::string redirect = std::exchange(frame.record.redirect, {});
      if (!may_look_up()) return;
      const auto domain = spf_domain(redirect, frame.domain);
      if (domain)
        enter(*domain, SpfTerm::Qualifier::pass);
      else
        found_.left_out.push_back(fmt::format("redirect={} (it depends on the session)", redirect));
    } else {
      leave();
    }
  }
}

void AddressSearch::evaluate(const SpfTerm& term) {
  if (term.kind == Kind::all) {
    if (term.qualifier == SpfTerm::Qualifier::pass) left_out(term, "it would be everybody");
    return;
  }
  if (term.kind == Kind::addresses)
    return settle(term.qualifier, term.range ? AddressSet({*term.range}) : AddressSet());
  if (!may_look_up()) return;
  if (term.kind == Kind::exists || term.kind == Kind::ptr) return left_out(term, "it depends on the session");
  const std::string& own = frames_.back().domain;
  const auto domain = term.domain.empty() ? std::optional(own) : spf_domain(term.domain, own);
  if (!domain) return left_out(term, "it depends on the session");
  if (term.kind == Kind::include) return enter(*domain, term.qualifier);
  term_ = term;
  if (!is_dns_name(*domain)) {  // RFC 7208 4.8: it matches nobody
    if (++void_ > kMaxVoid) fail("the SPF record leads to names that cannot be: gateways end with permerror");
    return;
  }
  if (term.kind == Kind::a) return ask_addresses({*domain}, Asked::addresses);
  questions_ = {{*domain, DnsType::mx}};
  asked_ = Asked::exchangers;
}

void AddressSearch::left_out(const SpfTerm& term, const char* why) {
  if (found_.left_out.size() < kMaxLeftOut) found_.left_out.push_back(fmt::format("{} ({})", quoted(term.text), why));
}

bool AddressSearch::may_look_up() {
  if (++look_ups_ <= kMaxLookUps) return true;
  fail(fmt::format("the SPF record needs more than {} look-ups: gateways end with permerror there", kMaxLookUps));
  return false;
}

void AddressSearch::settle(SpfTerm::Qualifier qualifier, AddressSet addresses) {
  Frame& frame = frames_.back();
  addresses.remove(frame.matched);
  if (qualifier == SpfTerm::Qualifier::pass) frame.passed.add(addresses);
  frame.matched.add(addresses);
  if (frame.matched.size() > kMaxRanges) fail(fmt::format("more than {} addresses and networks", kMaxRanges));
}

void AddressSearch::leave() {
  Frame frame = std::move(frames_.back());
  frames_.pop_back();
  if (frames_.empty())
    found_.addresses = std::move(frame.passed);
  else
    settle(frame.qualifier, std::move(frame.passed));
}

void AddressSearch::fail(std::string why) {
  questions_.clear();
  if (!found_.failure.empty()) return;
  found_.failure = std::move(why);
  while (!frames_.empty()) leave();
}

}  // namespace smtpscope
