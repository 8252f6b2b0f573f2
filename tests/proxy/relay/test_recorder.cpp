// The recorder by itself, fed with batches.
#include "proxy/relay/recorder.h"

#include <algorithm>
#include <cstring>

#include "capture/store/paths.h"
#include "tests/capture/store/temp_store.h"

using namespace smtpscope;

namespace {

/// A session of one sender with more events than are kept, so with a transcript of megabytes.
std::unique_ptr<Batch> long_session(int number) {
  auto session = std::make_unique<CaptureSession>();
  session->facts.id = "01KB0000000000000000000S0" + std::to_string(number);
  session->facts.sender = {"192.0.2.7", 4000};
  session->facts.gateway = {"198.51.100.25", 25};
  session->end = std::make_unique<SessionEnd>();
  std::string lines;
  while (lines.size() < 21'000 * 3) lines += "x\r\n";
  auto batch = std::make_unique<Batch>();
  CaptureSession* shared = session.release();  // the recorder deletes it
  const auto add = [&](BatchRecord::Type type, uint64_t length) {
    batch->append({shared, 0, 0, length, type, From::sender, CloseHow::fin});
  };
  add(BatchRecord::Type::opened, 0);
  std::memcpy(batch->space(), lines.data(), lines.size());
  add(BatchRecord::Type::data, lines.size());
  add(BatchRecord::Type::ended, 0);
  return batch;
}

}  // namespace

TEST_CASE("no transcript is lost when many large ones of one sender come at once") {
  const TempStore store;
  constexpr int kSessions = 4;
  smtpscope::RelayMetrics metrics;
  Recorder recorder(store.path, metrics);
  for (int i = 0; i < kSessions; ++i) recorder.queue().exchange(long_session(i));
  recorder.queue().leave();
  recorder.join();
  CHECK(recorder.done());
  std::ifstream in(transcripts_path(store.path, "192.0.2.7", 0));
  const std::string lines{std::istreambuf_iterator<char>(in), {}};
  CHECK(lines.size() > kSessions * size_t{2} << 20);
  CHECK(std::count(lines.begin(), lines.end(), '\n') == kSessions);
}
