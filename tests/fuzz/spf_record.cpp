// SPF records and DNS answers of anybody: what is understood keeps its bounds, and evaluation always comes to an end.
#include <cstddef>
#include <cstdint>
#include <string>

#include "proxy/names/address_search.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const DnsQuestion question{"p.example", size > 0 && data[0] % 2 == 0 ? DnsType::mx : DnsType::txt};
  const DnsAnswer message = parse_dns_answer({data, size}, question);
  demand(message.status != DnsAnswer::Status::ok || message.failure.empty());
  for (const auto& exchanger : message.exchangers) demand(exchanger.name.empty() || is_dns_name(exchanger.name));

  // Lines of the input are the records of whatever name is asked for, in turn.
  const std::string text(reinterpret_cast<const char*>(data), size);
  size_t at = 0;
  const auto line = [&] {
    if (at >= text.size()) at = 0;
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string out = text.substr(at, end - at);
    at = end + 1;
    return out;
  };
  if (const auto record = parse_spf_record("v=spf1 " + line()))
    for (const SpfTerm& term : record->terms)
      demand(term.bits4 <= 32 && term.bits6 <= 128 &&
             (!term.range ||
              (term.range->first <= term.range->last && term.range->first.is_v4() == term.range->last.is_v4())));
  AddressSearch search(*parse_sender_spec("spf:p.example"));
  int questions = 0;
  while (!search.done()) {
    std::vector<DnsAnswer> answers;
    for (const DnsQuestion& each : search.questions()) {
      demand(is_dns_name(each.name));
      demand(++questions <= 1 + AddressSearch::kMaxLookUps * (1 + 2 * 10));
      DnsAnswer answer;
      answer.status = DnsAnswer::Status::ok;
      answer.ttl_s = 60;
      if (each.type == DnsType::txt) answer.texts.push_back("v=spf1 " + line());
      if (each.type == DnsType::mx) answer.exchangers.push_back({10, "m.example"});
      if (each.type == DnsType::a) answer.addresses.push_back(IpAddress::v4(0xC0000201));
      answers.push_back(std::move(answer));
    }
    search.answer(answers);
  }
  demand(search.found().addresses.size() <= 2 * AddressSearch::kMaxRanges + 2);
  return 0;
}
