// What a gateway may send to a probe, cut anywhere: bounded, one command at a time, and nothing of it raw in a report.
#include <cstddef>
#include <cstdint>

#include "proxy/doctor/view.h"
#include "proxy/probe/talk.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = data[0] % 32 + 1U;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  Talk talk({"EHLO a.example", "QUIT"});
  size_t said = 0;
  for (size_t at = 0; at < bytes.size(); at += piece)
    if (!talk.take(bytes.substr(at, piece), static_cast<int64_t>(at)).empty()) ++said;
  demand(said == talk.sent().size() && said <= 2);
  demand(talk.replies().size() <= said);
  ProbeResult probe;
  probe.end = ProbeResult::End::closed;
  probe.local = {"192.0.2.1", 1};
  probe.greeting = talk.greeting();
  probe.sent = talk.sent();
  probe.replies = talk.replies();
  probe.unasked = talk.unasked();
  for (const Present present : {Present::sender, Present::proxy, Present::proxy_v1})
    for (const HostFinding& finding :
         {judge_answer(probe, "gw"), judge_view(present, probe, "gw", true), compare_probes(probe, probe)})
      for (const char c : finding.says + finding.facts.dump())
        demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  return 0;
}
