// A DNS made of a few lines, for what asks by DnsQuestion: "NAME TYPE [TTL] DATA", as in
//   partner.example TXT v=spf1 include:_spf.partner.example -all
//   _spf.partner.example A 60 192.0.2.1
//   bad.example TXT FAIL
// A name that has no line of any type does not exist.
#pragma once

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "proxy/names/address_search.h"

namespace smtpscope::test {

class Zone {
 public:
  explicit Zone(const std::string& lines) {
    std::istringstream in(lines);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string name, type, data;
      if (!(words >> name >> type)) continue;
      std::getline(words >> std::ws, data);
      names_.insert(name);
      DnsAnswer& answer = answers_[{name, type}];
      answer.ttl_s = 300;
      if (data.starts_with("TTL")) {
        std::istringstream more(data.substr(3));
        more >> answer.ttl_s;
        std::getline(more >> std::ws, data);
      }
      if (data == "FAIL") {
        answer = DnsAnswer::failure_of("no answer in time");
        continue;
      }
      answer.status = DnsAnswer::Status::ok;
      if (type == "A" || type == "AAAA") answer.addresses.push_back(*IpAddress::parse(data));
      if (type == "TXT") answer.texts.push_back(data);
      if (type == "MX") answer.exchangers.push_back({10, data == "." ? "" : data});
    }
  }

  DnsAnswer ask(const DnsQuestion& question) {
    ++asked;
    const auto it = answers_.find({question.name, std::string(type_name(question.type))});
    if (it != answers_.end()) return it->second;
    DnsAnswer none;
    if (!names_.contains(question.name)) none.status = DnsAnswer::Status::no_name;
    return none;
  }

  AddressSearch::Found search(const std::string& entry) {
    AddressSearch search(*parse_sender_spec(entry));
    while (!search.done()) {
      std::vector<DnsAnswer> answers;
      for (const DnsQuestion& question : search.questions()) answers.push_back(ask(question));
      search.answer(answers);
    }
    return search.found();
  }

  int asked = 0;

 private:
  std::set<std::string> names_;
  std::map<std::pair<std::string, std::string>, DnsAnswer> answers_;
};

}  // namespace smtpscope::test
