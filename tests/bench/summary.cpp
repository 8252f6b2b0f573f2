// What a summary costs: makes a store of many sessions (not timed), then opens its index, reads all digests and sums
// them up.
//
//   bench_summary [SESSIONS [SENDERS]]      a folder for the store is made and removed
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "capture/diagnosis/script.h"
#include "capture/store/index.h"
#include "capture/store/paths.h"
#include "capture/summary/summary.h"
#include "capture/summary/summary_text.h"
#include "capture/transcript/json_writer.h"
#include "proxy/commands/stored_line.h"

namespace {

using namespace smtpscope;

constexpr const char* kScripts[] = {
    "use hello mail rcpt data body accepted bye\n",
    "use hello mail rcpt data\nS body 20000\nS .\nuse accepted mail rcpt data body accepted bye\n",
    "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.0 Greylisted\nuse bye\n",
    "use hello mail\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\nuse bye\n",
    "use hello mail rcpt data body\n+60\nS fin\n+2\nuse accepted\nG fin\n",
    "+30\nS fin\nG fin\n",
};

void make_store(const std::string& store, int sessions, int senders) {
  std::map<std::string, std::string> lines;  // a template of each script
  std::vector<Transcript> played;
  for (const char* script : kScripts) played.push_back(play_script(script).transcript);
  for (int i = 0; i < sessions; ++i) {
    Transcript& t = played[static_cast<size_t>(i) % played.size()];
    char id[32];
    std::snprintf(id, sizeof id, "01KB%022d", i);
    t.session.id = id;
    t.session.started_us = 1'795'521'600'000'000 + i * int64_t{200'000};
    const int sender = i % senders;
    t.session.sender.ip = "10." + std::to_string(sender / 65536) + '.' + std::to_string(sender / 256 % 256) + '.' +
                          std::to_string(sender % 256);
    std::string& out = lines[transcripts_path(store, t.session.sender.ip, t.session.started_us)];
    append_json(out, t);
    out += '\n';
  }
  for (const auto& [path, text] : lines) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
}

double seconds_since(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

}  // namespace

int main(int argc, char** argv) {
  const int sessions = argc > 1 ? std::atoi(argv[1]) : 100'000;
  const int senders = argc > 2 ? std::atoi(argv[2]) : 500;
  std::string store = (std::filesystem::temp_directory_path() / "bench_summary.XXXXXX").string();
  if (mkdtemp(store.data()) == nullptr) return perror("mkdtemp"), 1;
  if (argc > 3) {  // as a program of its own, so that making the store does not count as memory
    store = argv[3];
  } else {
    make_store(store, sessions, senders);
    const auto start = std::chrono::steady_clock::now();
    Index(store).problems();
    std::printf("index made in %.2f s\n", seconds_since(start));
    std::fflush(stdout);
    const std::string self =
        std::string(argv[0]) + ' ' + std::to_string(sessions) + ' ' + std::to_string(senders) + ' ' + store;
    const int status = std::system(self.c_str());
    std::filesystem::remove_all(store);
    return status == 0 ? 0 : 1;
  }
  const auto start = std::chrono::steady_clock::now();
  Index index(store);
  const double indexed = seconds_since(start);
  Summarizer summarizer([&](const std::string&) { return 1'795'521'600'000'000 + sessions * int64_t{200'000}; });
  StoredLines lines;
  std::string line, error;
  IndexQuery query;
  query.by_sender = true;
  const uint64_t read = index.query(query, [&](const IndexEntry& entry) {
    if (lines.read(entry, line, error))
      if (auto digest = digest_line(line)) summarizer.add(std::move(*digest), true);
    return true;
  });
  const auto summaries = summarizer.finish();
  size_t bytes = 0;
  for (const SenderSummary& s : summaries) bytes += summary_text(s, {}).size();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  std::printf(
      "%llu sessions of %zu senders: index opened in %.2f s, summary in %.2f s (%.2f s of CPU), %zu bytes of text, at "
      "most %ld MiB\n",
      static_cast<unsigned long long>(read), summaries.size(), indexed, seconds_since(start) - indexed, cpu, bytes,
      usage.ru_maxrss / 1024);
}
