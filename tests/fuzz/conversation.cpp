// Random turns of both sides through the conversation, at two different cuts: no crash, one result, bounded holding.
#include <cstdint>
#include <string>
#include <string_view>

#include "capture/smtp/conversation.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

namespace {

/// Byte 0xFE changes sides; 0xFD, 0xFC close; 0xFB n loses n bytes. All else is what the side now talking sends.
std::string run(std::string_view input, size_t step) {
  Conversation c(Conversation::Policy{Conversation::Body::full, input.size() % 3 == 0 ? 16U : 0U});
  c.open(0);
  From from = From::gateway;
  uint64_t offset[2] = {0, 0};
  size_t i = 0;
  while (i < input.size()) {
    const auto byte = static_cast<uint8_t>(input[i]);
    uint64_t& at = offset[from == From::sender ? 0 : 1];
    if (byte == 0xFE) from = peer_of(from);
    if (byte == 0xFD) c.close(from, CloseHow::fin, 0);
    if (byte == 0xFC) c.close(from, CloseHow::rst, 0);
    if (byte == 0xFB) c.hole(from, 0, 3), at += 3;
    if (byte >= 0xFB && byte != 0xFF) {
      ++i;
      continue;
    }
    size_t n = 0;
    while (n < step && i + n < input.size() &&
           (static_cast<uint8_t>(input[i + n]) < 0xFB || static_cast<uint8_t>(input[i + n]) == 0xFF))
      ++n;
    c.chunk({from, 0, at, input.substr(i, n)});
    at += n;
    i += n;
    demand(c.stable(from) <= at && at - c.stable(from) <= Conversation::kMaxHeld + 1);
  }
  c.finish();
  demand(c.stable(From::sender) == offset[0] && c.stable(From::gateway) == offset[1]);
  std::string out;
  for (const Event& e : c.events()) {
    demand(e.answers < static_cast<int32_t>(c.events().size()));
    out += std::string(name(e.kind)) + std::to_string(e.offset) + '+' + std::to_string(e.bytes) + ':' +
           std::to_string(e.code) + std::to_string(e.answers) + std::string(name(e.phase)) + e.text + '\n';
  }
  for (const Message& m : c.messages())
    out += m.mail_from.value_or("none") + std::to_string(m.bytes) + m.sha256 + std::to_string(m.final_reply) + '\n';
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  demand(run(input, SIZE_MAX) == run(input, 1));
  return 0;
}
