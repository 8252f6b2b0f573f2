#include "capture/store/debug_windows.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "capture/store/json_cursor.h"
#include "capture/store/paths.h"
#include "capture/transcript/json_reader.h"
#include "capture/transcript/json_text.h"

namespace smtpscope {
namespace {

constexpr std::string_view kSchema = "smtpscope.debug-window/1";
constexpr const char *kOpened = "/opened.json", *kEnded = "/ended.json", *kTold = "/told", *kUnknown = "unknown";
constexpr std::string_view kTallySuffix = ".jsonl";

std::error_code last_error() { return {errno, std::generic_category()}; }

std::error_code write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0 ? std::make_error_code(std::errc::no_space_on_device) : last_error();
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

/// A file that is there whole or not at all, and on the disk if `durable`.
std::error_code write_whole(const std::string& path, std::string_view bytes, bool durable) {
  const std::string unfinished = path + ".new";
  const UniqueFd fd(open_private(unfinished, O_CREAT | O_WRONLY | O_TRUNC));
  if (!fd) return last_error();
  std::error_code error = write_all(fd.get(), bytes);
  if (!error && durable && ::fsync(fd.get()) != 0) error = last_error();
  if (!error && ::rename(unfinished.c_str(), path.c_str()) != 0) error = last_error();
  if (error) {
    ::unlink(unfinished.c_str());
    return error;
  }
  if (!durable) return {};
  const UniqueFd folder(::open(path.substr(0, path.rfind('/')).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder && ::fsync(folder.get()) == 0 ? std::error_code() : last_error();
}

std::string read_file(const std::string& path) {
  try {
    return std::string(MappedFile(path).bytes());
  } catch (const std::system_error&) {
    return {};
  }
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), [](DIR* d) { return ::closedir(d); });
  if (!listing) return names;
  while (const dirent* entry = ::readdir(listing.get()))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

uint64_t number_of(std::string_view text) {
  uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return error == std::errc() && end == text.data() + text.size() ? n : 0;
}

std::string opened_json(const DebugWindow& w) {
  std::string line = "{\"schema\":\"" + std::string(kSchema) + "\",\"id\":";
  append_json_string(line, w.id);
  line += ",\"opened\":\"" + iso_utc(w.opened_us) + '"';
  if (w.until_us > 0) line += ",\"until\":\"" + iso_utc(w.until_us) + '"';
  if (w.sessions > 0) line += ",\"sessions\":" + std::to_string(w.sessions);
  line += ",\"senders\":";
  append_json_strings(line, w.senders);
  line += ",\"exclude\":";
  append_json_strings(line, w.exclude);
  line += ",\"reason\":";
  append_json_string(line, w.reason);
  return line + "}\n";
}

std::vector<std::string> texts_of(std::string_view array) {
  std::vector<std::string> out;
  json_elements(array, [&](std::string_view value) { out.push_back(json_text_of(value)); });
  return out;
}

std::optional<DebugWindow> read_opened(const std::string& text) {
  DebugWindow w;
  std::string schema;
  const auto moment = [](std::string_view value) { return parse_iso_utc(json_text_of(value)).value_or(0); };
  const bool whole = json_members(text, [&](std::string_view key, std::string_view value) {
    if (key == "schema") schema = json_text_of(value);
    if (key == "id") w.id = json_text_of(value);
    if (key == "opened") w.opened_us = moment(value);
    if (key == "until") w.until_us = moment(value);
    if (key == "sessions") w.sessions = number_of(value);
    if (key == "senders") w.senders = texts_of(value);
    if (key == "exclude") w.exclude = texts_of(value);
    if (key == "reason") w.reason = json_text_of(value);
  });
  if (!whole || schema != kSchema || w.id.empty() || w.opened_us <= 0) return std::nullopt;
  return w;
}

std::string_view last_whole_line(std::string_view text) {
  const size_t end = text.rfind('\n');
  if (end == std::string_view::npos) return {};
  text = text.substr(0, end);
  const size_t before = text.rfind('\n');
  return before == std::string_view::npos ? text : text.substr(before + 1);
}

bool has_ended(const std::string& folder) { return ::access((folder + kEnded).c_str(), F_OK) == 0; }

void read_end(StoredWindow& stored) {
  json_members(read_file(stored.folder + kEnded), [&](std::string_view key, std::string_view value) {
    if (key == "by") stored.ended_by = json_text_of(value);
    if (key == "at") stored.ended_us = parse_iso_utc(json_text_of(value)).value_or(0);
  });
  if (!stored.ended_by.empty()) return;
  stored.ended_by = kUnknown;  // whoever ended it died over the word
  stored.ended_us = stored.window.until_us;
}

}  // namespace

void WindowTally::add(const WindowTally& other) {
  sessions += other.sessions;
  for (size_t i = 0; i < verdicts.size(); ++i) verdicts[i] += other.verdicts[i];
  for (const auto& [code, more] : other.codes) {
    Code& mine = codes[code];
    mine.sessions += more.sessions;
    mine.newest = std::max(mine.newest, more.newest);  // ids sort by time
  }
  newest = std::max(newest, other.newest);
  came.insert(other.came.begin(), other.came.end());
  connections += other.connections;
}

int64_t DebugWindow::left_us(int64_t now_us) const {
  return until_us == 0 ? 0 : std::max<int64_t>(std::min(until_us - now_us, until_us - opened_us), 1);
}

void StoredWindow::settle(int64_t now_us) {
  if (!ended_by.empty()) return;
  if (window.until_us > 0 && now_us >= window.until_us) {
    ended_by = "time";
    ended_us = window.until_us;
  } else if (window.sessions > 0 && tally.sessions >= window.sessions) {
    ended_by = "count";
    ended_us = now_us;
  }
}

std::string keep_window(std::string_view store, DebugWindow& window) {
  const std::string all = debug_windows_path(store);
  if (const std::error_code error = make_private_directories(all)) throw std::system_error(error, all);
  std::string folder;
  if (!window.id.empty()) {
    folder = all + '/' + window.id + '.' + std::to_string(window.opened_us);
    if (const std::error_code error = make_private_directories(folder)) throw std::system_error(error, folder);
  } else {
    uint64_t number = 0;
    for (const std::string& name : names_in(all)) number = std::max(number, number_of(name));
    do {  // another process may take a number at the same time
      window.id = std::to_string(++number);
      folder = all + '/' + window.id;
      errno = 0;
    } while (::mkdir(folder.c_str(), 0700) != 0 && errno == EEXIST);
    if (errno != 0) throw std::system_error(last_error(), folder);
    (void)::chmod(folder.c_str(), 0700);
  }
  if (const std::error_code error = write_whole(folder + kOpened, opened_json(window), true)) {
    ::rmdir(folder.c_str());
    throw std::system_error(error, folder);
  }
  return folder;
}

bool end_window(const std::string& folder, std::string_view by, int64_t at_us, std::error_code& error) noexcept {
  error.clear();
  try {
    const std::string word = "{\"by\":\"" + std::string(by) + "\",\"at\":\"" + iso_utc(at_us) + "\"}\n";
    // Nobody reads half of it. Where the file system or the disk does not take that, that it ended is what counts.
    const std::string unready = folder + "/.ended." + std::to_string(::getpid());
    if (!write_whole(unready, word, false)) {
      const bool made = ::link(unready.c_str(), (folder + kEnded).c_str()) == 0;
      const bool there = errno == EEXIST;
      ::unlink(unready.c_str());
      if (made || there) return made;
    }
    const UniqueFd fd(open_private(folder + kEnded, O_CREAT | O_EXCL | O_WRONLY));
    if (!fd) {
      if (errno != EEXIST) error = last_error();
      return false;
    }
    error = write_all(fd.get(), word);
    return true;
  } catch (const std::bad_alloc&) {
    error = std::make_error_code(std::errc::not_enough_memory);
    return false;
  }
}

bool claim_telling(const std::string& folder) noexcept {
  try {
    return UniqueFd(open_private(folder + kTold, O_CREAT | O_EXCL | O_WRONLY)) || errno != EEXIST;
  } catch (const std::bad_alloc&) {
    return true;
  }
}

std::error_code remove_window(const std::string& folder) noexcept {
  std::error_code error;
  try {
    std::filesystem::remove_all(folder, error);
  } catch (const std::bad_alloc&) {
    error = std::make_error_code(std::errc::not_enough_memory);
  }
  return error;
}

const char* window_ended_by(const std::string& folder) noexcept {
  try {
    if (!has_ended(folder)) return nullptr;
    StoredWindow stored;
    stored.folder = folder;
    read_end(stored);
    for (const char* word : {"time", "count", "hand", "configuration"})
      if (stored.ended_by == word) return word;
    return kUnknown;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

std::optional<StoredWindow> read_debug_window(const std::string& folder) {
  StoredWindow stored;
  stored.folder = folder;
  auto window = read_opened(read_file(folder + kOpened));
  if (!window) return std::nullopt;
  stored.window = std::move(*window);
  for (const std::string& file : names_in(folder)) {
    if (!file.ends_with(kTallySuffix)) continue;
    stored.runs.push_back({file.substr(0, file.size() - kTallySuffix.size()),
                           read_tally_json(last_whole_line(read_file(fmt::format("{}/{}", folder, file))))});
    stored.tally.add(stored.runs.back().tally);
  }
  if (has_ended(folder)) read_end(stored);
  return stored;
}

size_t count_debug_windows(std::string_view store) { return names_in(debug_windows_path(store)).size(); }

std::vector<StoredWindow> read_debug_windows(std::string_view store) {
  std::vector<StoredWindow> all;
  const std::string path = debug_windows_path(store);
  for (const std::string& name : names_in(path))
    if (auto stored = read_debug_window(fmt::format("{}/{}", path, name))) all.push_back(std::move(*stored));
  std::stable_sort(all.begin(), all.end(), [](const StoredWindow& a, const StoredWindow& b) {
    return a.window.opened_us < b.window.opened_us;
  });
  return all;
}

TallyFile::TallyFile(const std::string& folder, std::string_view instance)
    : path_(folder + '/' + std::string(instance) + std::string(kTallySuffix)), file_(path_) {}

std::error_code TallyFile::save(const WindowTally& tally) noexcept {
  try {
    const std::string line = tally_json(tally) + '\n';
    if (file_.end() + line.size() <= kMostBytes) return file_.append(line);
    const std::error_code error = write_whole(path_, line, false);
    if (!error) file_ = AppendFile(path_);
    return error;
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
  }
}

std::string tally_json(const WindowTally& t) {
  std::string line = "{\"sessions\":" + std::to_string(t.sessions) + ",\"verdicts\":[";
  for (size_t i = 0; i < t.verdicts.size(); ++i) line += (i > 0 ? "," : "") + std::to_string(t.verdicts[i]);
  line += "],\"codes\":{";
  for (const auto& [code, of] : t.codes) {
    if (line.back() != '{') line += ',';
    append_json_string(line, code);
    line += ":[" + std::to_string(of.sessions) + ',';
    append_json_string(line, of.newest);
    line += ']';
  }
  line += "},\"newest\":";
  append_json_string(line, t.newest);
  line += ",\"came\":[";
  for (const uint32_t index : t.came) line += (line.back() == '[' ? "" : ",") + std::to_string(index);
  return line + "],\"connections\":" + std::to_string(t.connections) + '}';
}

WindowTally read_tally_json(std::string_view text) {
  WindowTally t;
  const bool whole = json_members(text, [&](std::string_view key, std::string_view value) {
    if (key == "sessions") t.sessions = number_of(value);
    if (key == "connections") t.connections = number_of(value);
    if (key == "newest") t.newest = json_text_of(value);
    if (key == "verdicts") {
      size_t i = 0;
      json_elements(value, [&](std::string_view n) {
        if (i < t.verdicts.size()) t.verdicts[i++] = number_of(n);
      });
    }
    if (key == "came")
      json_elements(value, [&](std::string_view n) { t.came.insert(static_cast<uint32_t>(number_of(n))); });
    if (key == "codes")
      json_members(value, [&](std::string_view code, std::string_view of) {
        WindowTally::Code& mine = t.codes[std::string(code)];
        bool first = true;
        json_elements(of, [&](std::string_view each) {
          if (std::exchange(first, false))
            mine.sessions = number_of(each);
          else
            mine.newest = json_text_of(each);
        });
      });
  });
  return whole ? t : WindowTally();
}

}  // namespace smtpscope
