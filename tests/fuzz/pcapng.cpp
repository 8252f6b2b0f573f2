// Any bytes as a recording: no crash, nothing outside of the file is handed out, blocks come in order. The input as it
// is, and again behind a section header, so that packets are reached soon.
#include <cstdint>
#include <string>
#include <string_view>

#include "capture/recording/pcapng_reader.h"
#include "capture/recording/pcapng_writer.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

namespace {

void read(std::string_view file) {
  uint64_t last = 0;
  std::string id;
  const ReadReport report = read_recording(file, [&](uint64_t, const Record& record, ByteRange block) {
    demand(block.offset >= last && block.length <= file.size() && block.offset <= file.size() - block.length);
    last = block.offset;
    if (const auto* facts = std::get_if<SessionFacts>(&record)) id = facts->id;
    if (const auto* chunk = std::get_if<Chunk>(&record))
      demand(chunk->bytes.data() >= file.data() &&
             chunk->bytes.data() + chunk->bytes.size() <= file.data() + file.size());
  });
  demand(report.whole_bytes <= file.size());
  demand(!report.error.empty() || report.whole_bytes == file.size());
  if (!id.empty()) cut_session(file, id);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read(input);
  std::string file;
  append_section(file);
  file += input;
  read(file);
  // The input as text of a session, and as its bytes.
  SessionFacts facts;
  facts.id = input.substr(0, 26);
  facts.filter = input.substr(0, 2000);
  facts.sender = {"192.0.2.1", 4000};
  facts.gateway = {"192.0.2.2", 25};
  file.clear();
  append_section(file);
  PcapngFlow flow(facts);
  flow.open(file, facts);
  flow.data(file, From::sender, 1, input);
  bool same = false;
  read_recording(file, [&](uint64_t, const Record& record, ByteRange) {
    if (const auto* read_back = std::get_if<SessionFacts>(&record))
      same = read_back->id == facts.id && read_back->filter == facts.filter;
  });
  demand(same);
  for (size_t i = 0; i + 1 < size; i += 2) file[data[i] * size_t{131} % file.size()] = static_cast<char>(data[i + 1]);
  read(file);
  return 0;
}
