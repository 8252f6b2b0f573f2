#include "capture/store/filing.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "capture/recording/pcapng_writer.h"
#include "capture/store/paths.h"
#include "capture/store/transcript_line.h"
#include "capture/transcript/json_writer.h"

namespace smtpscope {

namespace fs = std::filesystem;

struct Filing::Place::DayFile {
  DayFile(const std::string& recording_name, const std::string& transcripts_name)
      : name(recording_name), recording(recording_name), transcripts(transcripts_name) {
    read_ids(transcripts_name);
    append_section(blocks);
    write();
  }

  void read_ids(const std::string& path) {
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored)) return;
    const MappedFile file(path);
    std::string_view rest = file.bytes();
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      if (std::string id = scan_transcript_id(rest.substr(0, end)); !id.empty()) ids.insert(std::move(id));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  void write() {
    if (blocks.empty()) return;
    if (const std::error_code error = recording.append(blocks)) throw std::system_error(error, name);
    blocks.clear();
  }

  std::string name;
  AppendFile recording, transcripts;
  std::string blocks;
  std::set<std::string> ids;
  size_t sessions = 0;  ///< in progress
};

Filing::Filing(std::string store) : store_(std::move(store)) {}
Filing::~Filing() = default;

Filing::Place::Place(Filing& filing, DayFile& file)
    : filing_(&filing), file_(&file), begins_at_(file.recording.end() + file.blocks.size()) {
  ++file.sessions;
}

std::string& Filing::Place::blocks() { return file_->blocks; }

void Filing::Place::wrote() {
  if (file_->blocks.size() >= kMaxBlocks) file_->write();
}

void Filing::Place::ended(Transcript& transcript) {
  file_->write();
  transcript.recording = fs::path(file_->name).filename().string();
  transcript.recording_bytes = {begins_at_, file_->recording.end() - begins_at_};
  std::string line;
  append_json(line, transcript);
  line += '\n';
  if (const std::error_code error = file_->transcripts.append(line))
    throw std::system_error(error, fs::path(file_->name).replace_extension(".jsonl").string());
  file_->ids.insert(transcript.session.id);
  --file_->sessions;
  ++filing_->filed_;
  filing_->close_idle_files();
}

Filing::Place::DayFile& Filing::file_of(const SessionFacts& facts) {
  const std::string path = recording_path(store_, facts.sender.ip, facts.started_us);
  auto& file = files_[path];
  if (!file) file = std::make_unique<Place::DayFile>(path, transcripts_path(store_, facts.sender.ip, facts.started_us));
  return *file;
}

std::optional<Filing::Place> Filing::begin(const SessionFacts& facts) {
  Place::DayFile& file = file_of(facts);
  if (file.ids.contains(facts.id)) {
    ++already_there_;
    return std::nullopt;
  }
  return Place(*this, file);
}

void Filing::close_idle_files() {
  if (files_.size() <= kMaxOpenFiles) return;
  for (auto it = files_.begin(); it != files_.end();) {
    Place::DayFile& file = *it->second;
    if (file.sessions == 0) {
      file.write();
      it = files_.erase(it);
      continue;
    }
    file.recording.close();
    file.transcripts.close();
    ++it;
  }
}

void Filing::flush() {
  for (auto& [path, file] : files_) file->write();
}

}  // namespace smtpscope
