#include "proxy/relay/recorder.h"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <utility>

#include "capture/recording/session_recorder.h"
#include "capture/store/append_file.h"
#include "capture/store/paths.h"
#include "capture/transcript/json_writer.h"
#include "proxy/relay/held_capture.h"
#include "proxy/relay/log.h"

namespace smtpscope {
namespace {

constexpr size_t kMaxBlocks = 256 * 1024;  // written before a batch is through
// Of all recorders.
constexpr size_t kMaxKeptLines = 64 << 20;  // transcripts kept for a disk that takes nothing
constexpr size_t kMaxEnded = 16 << 20;      // what ended sessions may hold before their transcripts are written
constexpr size_t kPiece = 1024;             // understood at once while memory is short
constexpr size_t kMaxOpenFiles = 128;
constexpr int kRetryMs = 200;
constexpr int64_t kMicrosecondsADay = 86'400'000'000;

void count_outcome(RelayMetrics& metrics, const Transcript& t) {
  RelayMetrics::add(metrics.verdicts[static_cast<size_t>(t.verdict)]);
  if (t.breakdown)
    RelayMetrics::add(
        metrics.breakdowns[static_cast<size_t>(t.breakdown->phase)][static_cast<size_t>(t.breakdown->party)]);
  if (t.capture_loss.empty()) return;
  using Loss = RelayMetrics::Loss;
  const Loss loss = t.capture_loss == "overload" ? Loss::overload
                    : t.capture_loss == "memory" ? Loss::memory
                                                 : Loss::disk;
  RelayMetrics::add(metrics.losses[static_cast<size_t>(loss)]);
}

}  // namespace

/// The two files of one sender and day, and what waits to be appended to them.
struct Recorder::DayFile {
  AppendFile recording, transcripts;
  std::string name;  ///< of the recording, without its folder
  std::string blocks, lines;
  uint64_t failures = 0;  ///< appends to the recording that failed
  std::string failure;
  size_t sessions = 0;
  bool dirty = false, section_due = true;

  DayFile(const std::string& recording_path, std::string transcripts_path)
      : recording(recording_path),
        transcripts(std::move(transcripts_path)),
        name(recording_path.substr(recording_path.rfind('/') + 1)) {}
  void begin_section() {
    if (std::exchange(section_due, false)) append_section(blocks);
  }
};

struct CaptureSession::Recording {
  Recording(SessionFacts facts, Recorder::DayFile& day)
      : file(day), failures_before(day.failures), recorder(std::move(facts), day.blocks) {}
  Recorder::DayFile& file;
  uint64_t failures_before;
  uint64_t begins_at = 0;
  SessionRecorder recorder;
  size_t memory = 0;               ///< as counted in Recorder::memory_
  std::array<uint64_t, 2> lost{};  ///< of each side, for want of memory; no hole was written yet
  const char* loss = "";           ///< why bytes are missing
};

struct Recorder::Ended {
  std::unique_ptr<CaptureSession> session;
  Transcript transcript;
};

CaptureSession::CaptureSession() = default;
CaptureSession::~CaptureSession() = default;

Recorder::Recorder(std::string store, RelayMetrics& metrics, uint32_t loops, uint32_t recorders)
    : max_memory_(kMaxMemory / recorders),
      max_ended_(kMaxEnded / recorders),
      max_kept_lines_(kMaxKeptLines / recorders),
      max_held_(HeldCapture::kMostOfAll / recorders),
      store_(std::move(store)),
      queue_(loops, recorders),
      metrics_(metrics),
      thread_([this] { run(); }) {}
Recorder::~Recorder() {
  queue_.stop();
  join();
}

void Recorder::join() {
  if (thread_.joinable()) thread_.join();
}

void Recorder::run() {
  pthread_setname_np(pthread_self(), "recorder");
  std::vector<std::unique_ptr<Batch>> batches;
  for (bool more = true; more;) {
    more = queue_.take(batches, dirty_.empty() && counted_.empty() ? 1000 : kRetryMs);
    for (auto& batch : batches) {
      batch->for_each([this](const BatchRecord& record, char* bytes) { handle(record, bytes); });
      queue_.give_back(std::move(batch));
    }
    if (batches.empty()) rest();
    batches.clear();
    flush();
  }
  for (auto& [key, file] : files_)
    if (!file->lines.empty()) spdlog::error("{}: transcripts lost: {}", file->name, file->failure);
  done_ = true;
}

Recorder::DayFile& Recorder::file_of(const SessionFacts& facts) {
  auto& file = files_[{facts.sender.ip, facts.started_us / kMicrosecondsADay}];
  if (!file)
    file = std::make_unique<DayFile>(recording_path(store_, facts.sender.ip, facts.started_us),
                                     transcripts_path(store_, facts.sender.ip, facts.started_us));
  return *file;
}

void Recorder::hold(const BatchRecord& record, const char* bytes) {
  CaptureSession& session = *record.session;
  if (!session.held) session.held = std::make_unique<HeldCapture>();
  HeldCapture& held = *session.held;
  held_ -= held.size();
  if (record.type == BatchRecord::Type::forgotten) {
    delete record.session;
  } else if (record.type == BatchRecord::Type::kept) {
    keep(session);
  } else {
    held.add(record, bytes, held_, max_held_);
    held_ += held.size();
  }
}

/// As if it had come just now; only its times are those of then.
void Recorder::keep(CaptureSession& session) {
  session.undecided = false;
  const std::unique_ptr<HeldCapture> held = std::move(session.held);
  held->play([this](const BatchRecord& record, char* bytes) { handle(record, bytes); },
             [&](uint64_t sender, uint64_t gateway) {
               CaptureSession::Recording& recording = *session.recording;
               recording.lost[0] += sender;
               recording.lost[1] += gateway;
               recording.loss = "memory";
             });
}

void Recorder::handle(const BatchRecord& record, char* bytes) {
  CaptureSession& session = *record.session;
  if (session.undecided) return hold(record, bytes);
  if (record.type == BatchRecord::Type::opened) {
    DayFile& file = file_of(session.facts);
    file.begin_section();
    for (const auto& window : session.windows) window->began(session.facts.sender.ip);
    counted(session.windows);
    const uint64_t begins_at = file.recording.end() + file.blocks.size();
    session.recording = std::make_unique<CaptureSession::Recording>(std::move(session.facts), file);
    session.recording->begins_at = begins_at;
    ++file.sessions;
  }
  CaptureSession::Recording& recording = *session.recording;
  DayFile& file = recording.file;
  std::string& out = file.blocks;
  file.begin_section();
  switch (record.type) {
    case BatchRecord::Type::opened:
      count(recording);
      break;
    case BatchRecord::Type::connected:
      recording.recorder.connected(*session.connect, out);
      break;
    case BatchRecord::Type::data:
      data(recording, record, bytes);
      break;
    case BatchRecord::Type::lost:
      write_lost(recording, record.at_us);
      recording.loss = "overload";
      recording.recorder.lost({record.from, record.at_us, record.offset, record.length, "overload"}, out);
      break;
    case BatchRecord::Type::closed:
      write_lost(recording, record.at_us);
      recording.recorder.closed({record.from, record.at_us, record.how}, out);
      break;
    case BatchRecord::Type::ended: {
      write_lost(recording, record.at_us);
      session.end->capture_loss = recording.loss;
      ended_memory_ += recording.memory;
      Ended ended{std::unique_ptr<CaptureSession>(record.session), recording.recorder.ended(*session.end, out)};
      ended.transcript.recording = file.name;
      ended_.push_back(std::move(ended));
      break;
    }
    case BatchRecord::Type::kept:
    case BatchRecord::Type::forgotten:
      break;  // of undecided sessions only: hold()
  }
  worked_ = true;
  if (!std::exchange(file.dirty, true)) dirty_.push_back(&file);
  if (out.size() >= kMaxBlocks) flush_blocks(file);
  if (ended_memory_ > max_ended_) flush();  // may be the end of `file`
}

void Recorder::count(CaptureSession::Recording& recording) {
  memory_ -= recording.memory;
  recording.memory = recording.recorder.memory();
  memory_ += recording.memory;
}

bool Recorder::no_room(const CaptureSession::Recording& recording) const {
  return memory_ > max_memory_ || (memory_ > max_memory_ / 2 && recording.memory > kModestMemory);
}

void Recorder::data(CaptureSession::Recording& recording, const BatchRecord& record, char* bytes) {
  for (size_t left = record.length; left > 0;) {
    if (no_room(recording)) {
      recording.lost[record.from == From::sender ? 0 : 1] += left;
      recording.loss = "memory";
      if (!std::exchange(squeezed_, true))
        spdlog::warn("sessions in progress hold {} MiB: large ones are relayed without being recorded", memory_ >> 20);
      return;
    }
    write_lost(recording, record.at_us);
    const size_t n = memory_ > max_memory_ / 2 ? std::min(left, kPiece) : left;
    recording.recorder.chunk(record.from, record.at_us, bytes, n, recording.file.blocks);
    count(recording);
    bytes += n;
    left -= n;
  }
}

void Recorder::write_lost(CaptureSession::Recording& recording, int64_t at_us) {
  for (From from : {From::sender, From::gateway})
    if (const uint64_t length = std::exchange(recording.lost[from == From::sender ? 0 : 1], 0); length > 0)
      recording.recorder.lost({from, at_us, recording.recorder.offset(from), length, "memory"}, recording.file.blocks);
}

void Recorder::flush_blocks(DayFile& file) {
  if (file.blocks.empty()) return;
  if (const std::error_code error = file.recording.append(file.blocks)) {
    if (file.failure != error.message())
      spdlog::error("{}: recording lost: {}; mail goes on", file.name, error.message());
    ++file.failures;
    file.failure = error.message();
    file.section_due = true;  // if the torn piece could not be cut away, readers find their feet at the next section
  } else {
    file.failure.clear();
  }
  file.blocks.clear();
  if (file.blocks.capacity() > 4 * kMaxBlocks) file.blocks.shrink_to_fit();
}

bool Recorder::flush_lines(DayFile& file) {
  if (file.lines.empty()) return true;
  if (const std::error_code error = file.transcripts.append(file.lines)) {
    if (file.failure != error.message())
      spdlog::error("{}: transcripts wait: {}; mail goes on", file.name, error.message());
    file.failure = error.message();
    return false;
  }
  kept_lines_ -= file.lines.size();
  file.lines.clear();
  if (file.lines.capacity() > spare_.capacity() && file.lines.capacity() <= max_ended_) file.lines.swap(spare_);
  if (file.lines.capacity() > kMaxBlocks) file.lines.shrink_to_fit();
  return true;
}

void Recorder::flush() {
  for (DayFile* file : dirty_) flush_blocks(*file);
  const auto log = session_log();
  for (Ended& ended : ended_) {
    DayFile& file = ended.session->recording->file;
    Transcript& t = ended.transcript;
    const uint64_t begins_at = ended.session->recording->begins_at;
    t.recording_bytes = {begins_at, file.recording.end() > begins_at ? file.recording.end() - begins_at : 0};
    if (file.failures > ended.session->recording->failures_before) {
      t.complete = false;
      if (t.capture_loss.empty())
        t.capture_loss = "disk: " + (file.failure.empty() ? "writing failed for a while" : file.failure);
    }
    if (kept_lines_ >= max_kept_lines_)
      for (DayFile* each : dirty_) flush_lines(*each);
    if (kept_lines_ < max_kept_lines_) {
      if (file.lines.empty() && file.lines.capacity() < spare_.capacity()) file.lines.swap(spare_);
      const size_t before = file.lines.size();
      append_json(file.lines, t);
      file.lines += '\n';
      kept_lines_ += file.lines.size() - before;
    } else {
      spdlog::error("{}: transcript of {} lost: {}", file.name, t.session.id, file.failure);
    }
    --file.sessions;
    memory_ -= ended.session->recording->memory;
    for (const auto& window : ended.session->windows)
      window->ended(t.session.id, t.verdict, t.breakdown ? t.breakdown->code : std::string());
    counted(ended.session->windows);
    count_outcome(metrics_, t);
    if (t.breakdown)
      log->info("{} {} {} {} {}", t.session.id, t.session.sender.ip, name(t.verdict), t.breakdown->code, t.summary);
    else
      log->info("{} {} {} {}", t.session.id, t.session.sender.ip, name(t.verdict), t.summary);
  }
  if (!ended_.empty()) log->flush();
  save_windows();  // before their transcripts: what can be read was counted
  ended_.clear();
  ended_memory_ = 0;
  if (memory_ < max_memory_ / 4) squeezed_ = false;
  std::vector<DayFile*> again;
  for (DayFile* file : dirty_) {
    if (flush_lines(*file))
      file->dirty = false;
    else
      again.push_back(file);
  }
  dirty_.swap(again);
  close_idle_files();
}

void Recorder::counted(const std::vector<std::shared_ptr<CaptureWindow>>& windows) {
  for (const auto& window : windows)
    if (std::find(counted_.begin(), counted_.end(), window) == counted_.end()) counted_.push_back(window);
}

void Recorder::save_windows() {
  std::erase_if(counted_, [](const std::shared_ptr<CaptureWindow>& window) {
    const CaptureWindow::Saved saved = window->save();
    if (saved.news)
      spdlog::error("window {}: its count cannot be kept: {}; recording goes on", window->terms().id,
                    saved.news.message());
    return saved.ok;
  });
}

/// Nothing to do: what a burst has left goes back to the system.
void Recorder::rest() {
  if (!std::exchange(worked_, false)) return;
  for (auto& [path, file] : files_) file->blocks.shrink_to_fit();
  spare_ = {};
  queue_.trim();
#ifndef __SANITIZE_ADDRESS__  // its allocator stands in malloc's place, whose heap was never begun
  malloc_trim(0);
#endif
}

void Recorder::close_idle_files() {
  if (files_.size() <= kMaxOpenFiles) return;
  for (auto it = files_.begin(); it != files_.end();) {
    DayFile& file = *it->second;
    if (file.dirty) {
      ++it;
    } else if (file.sessions == 0) {
      it = files_.erase(it);
    } else {
      file.recording.close();
      file.transcripts.close();
      ++it;
    }
  }
}

}  // namespace smtpscope
