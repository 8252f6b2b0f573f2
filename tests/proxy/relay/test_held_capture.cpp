// What is held of an undecided session comes back as it went in, up to the bound, and a hole behind it.
#include "proxy/relay/held_capture.h"

#include "tests/catch.h"

using namespace smtpscope;

namespace {

BatchRecord record(BatchRecord::Type type, From from, uint64_t length = 0, int64_t at_us = 0) {
  return {nullptr, at_us, 0, length, type, from, CloseHow::fin};
}

/// "opened data:hello closed", with "[3|4]" for a hole of so many bytes of each side.
std::string played(HeldCapture& held) {
  std::string out;
  held.play(
      [&](const BatchRecord& r, char* bytes) {
        const char* names[] = {"opened", "connected", "data", "lost", "closed", "ended"};
        out += names[static_cast<size_t>(r.type)];
        if (r.type == BatchRecord::Type::data && bytes != nullptr)
          (out += ":") += std::string_view(bytes, std::min<size_t>(r.length, 8));
        out += ' ';
      },
      [&](uint64_t sender, uint64_t gateway) {
        out += '[' + std::to_string(sender) + '|' + std::to_string(gateway) + "] ";
      });
  return out;
}

constexpr size_t kRoom = HeldCapture::kMostOfAll;
using Type = BatchRecord::Type;

}  // namespace

TEST_CASE("records come back in their order, with their bytes") {
  HeldCapture held;
  held.add(record(Type::opened, From::sender), nullptr, 0, kRoom);
  held.add(record(Type::data, From::gateway, 5), "hello", 0, kRoom);
  held.add(record(Type::data, From::sender, 3), "bye", 0, kRoom);
  held.add(record(Type::lost, From::sender, 9), nullptr, 0, kRoom);
  held.add(record(Type::ended, From::proxy), nullptr, 0, kRoom);
  CHECK(held.size() == 5 * sizeof(BatchRecord) + 8);
  CHECK(played(held) == "opened data:hello data:bye lost ended ");
}

TEST_CASE("beyond the bound of a session all further bytes are a hole") {
  HeldCapture held;
  const std::string large(HeldCapture::kMost - 4 * sizeof(BatchRecord), 'x');
  held.add(record(Type::opened, From::sender), nullptr, 0, kRoom);
  held.add(record(Type::data, From::sender, large.size()), large.data(), 0, kRoom);
  held.add(record(Type::data, From::sender, 1000), large.data(), 0, kRoom);
  held.add(record(Type::data, From::gateway, 2), "ok", 0, kRoom);  // would fit, but stands behind the hole
  held.add(record(Type::lost, From::gateway, 5), nullptr, 0, kRoom);
  held.add(record(Type::closed, From::sender), nullptr, 0, kRoom);
  held.add(record(Type::ended, From::proxy), nullptr, 0, kRoom);
  CHECK(held.size() <= HeldCapture::kMost);
  CHECK(played(held) == "opened data:xxxxxxxx [1000|7] closed ended ");
}

TEST_CASE("what others hold leaves so much less room") {
  HeldCapture held;
  held.add(record(Type::opened, From::sender), nullptr, kRoom, kRoom);
  held.add(record(Type::data, From::sender, 5), "hello", kRoom - 10, kRoom);
  held.add(record(Type::ended, From::proxy), nullptr, kRoom, kRoom);
  CHECK(played(held) == "opened [5|0] ended ");
}
