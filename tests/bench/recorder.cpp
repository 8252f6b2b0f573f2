// What recording costs: the CPU time of the recorder thread for sessions as a load generator makes them, from the bytes
// in a batch to recording and transcript in the page cache. Sessions overlap, as they do on a busy relay.
//
//   bench_recorder [SESSIONS [MESSAGES [BODY_BYTES]]]      a folder for the store is made and removed
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "capture/store/instance.h"
#include "proxy/relay/log.h"
#include "proxy/relay/recorder.h"

namespace {

using namespace smtpscope;

constexpr int kAtOnce = 50;

int64_t cpu_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

struct Step {
  From from;
  std::string bytes;
};

std::vector<Step> script(int messages, size_t body_bytes) {
  std::string body = "From: <a@example.org>\r\nTo: <b@example.net>\r\nSubject: bench\r\n\r\n";
  while (body.size() < body_bytes)
    body += "The quick brown fox jumps over the lazy dog, and again it jumps, seventy.\r\n";
  body += ".\r\n";
  const std::string envelope = "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n";
  std::vector<Step> steps{
      {From::gateway, "220 sink.example ESMTP\r\n"},
      {From::sender, "EHLO load.example\r\n"},
      {From::gateway, "250-sink.example\r\n250-SIZE 52428800\r\n250-PIPELINING\r\n250 8BITMIME\r\n"},
      {From::sender, envelope}};
  for (int i = 0; i < messages; ++i) {
    steps.push_back({From::gateway, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"});
    steps.push_back({From::sender, body + (i + 1 < messages ? envelope : "QUIT\r\n")});
    steps.push_back({From::gateway, "250 2.0.0 Ok: queued as A1B2C3D4E" + std::to_string(1000 + i) + "\r\n"});
  }
  steps.push_back({From::gateway, "221 2.0.0 Bye\r\n"});
  return steps;
}

class Loop {
 public:
  explicit Loop(BatchQueue& queue) : queue_(queue) {}

  void put(CaptureSession* session, BatchRecord::Type type, From from, const std::string& bytes = {}) {
    if (!batch_->has_room(bytes.size())) flush();
    bytes.copy(batch_->space(), bytes.size());
    batch_->append({session, at_us_ += 10, 0, bytes.size(), type, from, CloseHow::fin});
  }
  void flush() {
    batch_ = queue_.exchange(std::move(batch_));
    while (queue_.pending() > 0) std::this_thread::yield();  // never more than one ahead
  }

 private:
  BatchQueue& queue_;
  std::unique_ptr<Batch> batch_ = std::make_unique<Batch>();
  int64_t at_us_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const int sessions = argc > 1 ? std::atoi(argv[1]) : 20'000;
  const int messages = argc > 2 ? std::atoi(argv[2]) : 1;
  const size_t body_bytes = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 4096;

  log_to_stderr();
  const std::vector<Step> steps = script(messages, body_bytes);
  std::string store = (std::filesystem::temp_directory_path() / "bench_recorder.XXXXXX").string();
  if (mkdtemp(store.data()) == nullptr) return perror("mkdtemp"), 1;

  const int64_t process_before = cpu_ns(CLOCK_PROCESS_CPUTIME_ID), thread_before = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
  {
    RelayMetrics metrics;
    Recorder recorder(store, metrics);
    Loop loop(recorder.queue());
    for (int done = 0; done < sessions; done += kAtOnce) {
      std::vector<CaptureSession*> open;
      for (int i = 0; i < kAtOnce; ++i) {
        auto* session = new CaptureSession;
        session->facts.started_us = 1'790'000'000'000'000 + done * 1000;
        session->facts.id = new_ulid(session->facts.started_us);
        session->facts.instance = "bench";
        session->facts.sender = {"192.0.2.7", static_cast<uint16_t>(20'000 + done % 20'000 + i)};
        session->facts.gateway = {"192.0.2.25", 25};
        session->facts.sees = "proxy";
        session->facts.filter = "any";
        session->facts.body_policy = "full";
        loop.put(session, BatchRecord::Type::opened, From::sender);
        session->connect =
            std::make_unique<GatewayConnect>(GatewayConnect{GatewayConnect::State::connected, 100, 100, {}});
        loop.put(session, BatchRecord::Type::connected, From::gateway);
        open.push_back(session);
      }
      for (const Step& step : steps)
        for (CaptureSession* session : open) loop.put(session, BatchRecord::Type::data, step.from, step.bytes);
      for (CaptureSession* session : open) {
        loop.put(session, BatchRecord::Type::closed, From::sender);
        loop.put(session, BatchRecord::Type::closed, From::gateway);
        session->end = std::make_unique<SessionEnd>();
        session->end->sender_stream.xxh128 = session->end->gateway_stream.xxh128 = std::string(32, '0');
        session->end->sender_leg = session->end->gateway_leg = LegTransport{40, 0, 65483};
        loop.put(session, BatchRecord::Type::ended, From::proxy);
      }
    }
    loop.flush();
    recorder.queue().leave();
    recorder.join();
  }
  const int64_t spent =
      cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - process_before - (cpu_ns(CLOCK_THREAD_CPUTIME_ID) - thread_before);
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store))
    if (entry.is_regular_file()) bytes += entry.file_size();
  std::filesystem::remove_all(store);
  std::printf(
      "%d sessions of %d messages: recorder %.2f us a session, %.2f us a message, %.0f bytes written a session\n",
      sessions, messages, static_cast<double>(spent) / 1000 / sessions,
      static_cast<double>(spent) / 1000 / sessions / messages, static_cast<double>(bytes) / sessions);
}
