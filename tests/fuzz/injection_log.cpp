// Any bytes as an injection debug log: no crash, every session comes out once and can be written and read again, and
// however the file is cut into pieces the same comes out. The input as it is, as what stands between the quotes of a
// good log, and as the bytes of a session that our own writer puts into one.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "capture/foreign/injection_log_reader.h"
#include "capture/transcript/injection_log.h"
#include "capture/transcript/json_reader.h"
#include "capture/transcript/json_writer.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

namespace {

struct Read {
  std::string sessions;  ///< a line of JSON each
  InjectionLogReport report;
  uint64_t sender_bytes = 0, gateway_bytes = 0;
};

Read read(std::string_view log, size_t piece) {
  Read result;
  InjectionLogReader reader(1'796'000'000'000'000, [&](const Transcript& transcript) {
    std::string line;
    append_json(line, transcript);
    demand(read_json(line, nullptr).has_value());
    result.sessions += line + '\n';
    result.sender_bytes += transcript.sender_stream.bytes;
    result.gateway_bytes += transcript.gateway_stream.bytes;
  });
  for (; !log.empty(); log.remove_prefix(std::min(piece, log.size()))) reader.feed(log.substr(0, piece));
  result.report = reader.finish();
  demand(result.report.sessions ==
         static_cast<uint64_t>(std::count(result.sessions.begin(), result.sessions.end(), '\n')));
  demand(result.report.unknown <= result.report.lines);
  return result;
}

void read_both_ways(const std::string& log) {
  const Read whole = read(log, SIZE_MAX), pieces = read(log, 5);
  demand(whole.sessions == pieces.sessions && whole.report.error == pieces.report.error);
  looks_like_injection_log(log);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read_both_ways(std::string(input));

  std::string log;
  size_t at = 0;
  for (bool gateway = true; at <= input.size(); gateway = !gateway) {
    const size_t end = std::min(input.find('\n', at), input.size());
    log += "Tue Nov 24 02:06:41 2026 Info: 7 ";
    log += gateway ? "Sent to" : "Rcvd from";
    log.append(" '192.0.2.1': '").append(input.substr(at, end - at)).append("'\n");
    at = end + 1;
  }
  read_both_ways(log);

  SessionFacts facts;
  facts.icid = 7;
  facts.started_us = 1'795'000'000'000'000;
  facts.sender.ip = "192.0.2.1";
  InjectionLog writer(facts);
  std::string written;
  uint64_t offsets[2] = {0, 0};
  for (size_t i = 0; i < size;) {
    const From from = data[i] % 2 == 0 ? From::gateway : From::sender;
    const std::string_view bytes = input.substr(i + 1, data[i] / 2);
    uint64_t& offset = offsets[from == From::gateway];
    if (!bytes.empty()) writer.record(Chunk{from, static_cast<int64_t>(i), offset, bytes}, written);
    offset += bytes.size();
    i += 1 + bytes.size();
  }
  writer.finish(written);
  const Read back = read(written, SIZE_MAX);
  demand(back.report.unknown == 0 && back.report.cut == 0);
  demand(back.sender_bytes >= offsets[0] && back.gateway_bytes >= offsets[1]);
  return 0;
}
