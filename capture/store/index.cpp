#include "capture/store/index.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <stdexcept>

#include "capture/store/paths.h"

namespace smtpscope {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = 2;
constexpr size_t kMaxProblems = 20;
constexpr size_t kHeadBytes = 128;  ///< of a file, kept to see that it is still the same one
constexpr int kBusyMs = 10'000;

constexpr const char* kSchema = R"(
CREATE TABLE files(path TEXT PRIMARY KEY, inode INTEGER, size INTEGER, mtime_ns INTEGER, indexed INTEGER, bad INTEGER, head BLOB);
CREATE TABLE sessions(id TEXT, icid INTEGER, started TEXT, sender BLOB, ip TEXT, verdict TEXT, code TEXT, phase TEXT, party TEXT,
                      summary TEXT, file INTEGER, offset INTEGER, length INTEGER, notes TEXT, left_out INTEGER);
CREATE INDEX by_started ON sessions(started, id);
CREATE INDEX by_id ON sessions(id);
CREATE INDEX by_file ON sessions(file);
)";

struct DatabaseError : std::runtime_error {
  DatabaseError(int code, const std::string& text)
      : std::runtime_error("index.sqlite: " + text), primary(code & 0xff) {}
  int primary;
};

class Statement {
 public:
  Statement(sqlite3* db, const std::string& sql) : db_(db) {
    if (const int code = sqlite3_prepare_v2(db, sql.c_str(), -1, &statement_, nullptr); code != SQLITE_OK)
      throw DatabaseError(code, sqlite3_errmsg(db));
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // The bound text outlives the step: every caller binds what it holds.
  Statement& bind(std::string_view text) {
    return check(sqlite3_bind_text(statement_, ++bound_, text.data() == nullptr ? "" : text.data(),
                                   static_cast<int>(text.size()), SQLITE_STATIC));
  }
  Statement& bind(int64_t value) { return check(sqlite3_bind_int64(statement_, ++bound_, value)); }
  Statement& bind_blob(const void* data, size_t size) {
    return check(sqlite3_bind_blob(statement_, ++bound_, data, static_cast<int>(size), SQLITE_STATIC));
  }
  Statement& bind_null() { return check(sqlite3_bind_null(statement_, ++bound_)); }

  bool step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) throw DatabaseError(code, sqlite3_errmsg(db_));
    return code == SQLITE_ROW;
  }
  void run() {
    while (step()) {
    }
    sqlite3_reset(statement_);
    bound_ = 0;
  }
  int64_t number(int column) { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) {
    const void* data = sqlite3_column_blob(statement_, column);
    return data == nullptr ? std::string()
                           : std::string(static_cast<const char*>(data),
                                         static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
  }

 private:
  Statement& check(int code) {
    if (code != SQLITE_OK) throw DatabaseError(code, sqlite3_errmsg(db_));
    return *this;
  }
  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

/// Each note as three lines: code, phase, party. Words that a line end would tear are none of ours.
std::string packed(const std::vector<FindingWords>& notes) {
  std::string text;
  for (const FindingWords& n : notes) {
    const std::string one = n.code + '\n' + n.phase + '\n' + n.party + '\n';
    if (std::count(one.begin(), one.end(), '\n') == 3) text += one;
  }
  return text;
}

std::vector<FindingWords> unpacked(std::string_view text) {
  std::vector<FindingWords> notes;
  const auto word = [&] {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string out(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    return out;
  };
  while (!text.empty()) {
    FindingWords& n = notes.emplace_back();
    n.code = word();
    n.phase = word();
    n.party = word();
  }
  return notes;
}

std::string in_list(const char* column, const std::vector<std::string>& values) {
  if (values.empty()) return {};
  std::string sql = std::string(" AND ") + column + " IN (?";
  for (size_t i = 1; i < values.size(); ++i) sql += ",?";
  return sql + ")";
}

}  // namespace

bool finds(const IndexQuery& query, const IndexEntry& entry) {
  const auto any_of = [](const std::vector<std::string>& values, const std::string& value) {
    return values.empty() || std::find(values.begin(), values.end(), value) != values.end();
  };
  const auto fits = [&](const FindingWords& f) {
    return any_of(query.codes, f.code) && any_of(query.phases, f.phase) && any_of(query.parties, f.party);
  };
  if (fits({entry.code, entry.phase, entry.party})) return true;
  return (entry.code.empty() || !query.codes.empty()) && std::any_of(entry.notes.begin(), entry.notes.end(), fits);
}

struct Index::Database {
  explicit Database(const std::string& path) {
    const int code = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    if (code != SQLITE_OK) {
      const DatabaseError error(code, handle != nullptr ? sqlite3_errmsg(handle) : "out of memory");
      sqlite3_close_v2(handle);
      throw error;
    }
    sqlite3_busy_timeout(handle, kBusyMs);
  }
  ~Database() { sqlite3_close_v2(handle); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void run(const char* sql) {
    if (const int code = sqlite3_exec(handle, sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
      throw DatabaseError(code, sqlite3_errmsg(handle));
  }
  sqlite3* handle = nullptr;
};

Index::Index(const std::string& store) : store_(store) {
  std::error_code error;
  if (!fs::is_directory(store, error))
    throw std::runtime_error(store + ": no such store" + (error ? ": " + error.message() : std::string()));
  // Once as it is, once from nothing, once in memory: a cache never keeps anyone from reading.
  for (int attempt = 0;; ++attempt) {
    try {
      open(attempt == 2);
      return;
    } catch (const DatabaseError& e) {
      db_.reset();
      problems_.clear();
      unsaid_problems_ = 0;
      lines_read_ = 0;
      if (attempt == 2) throw;
      const bool broken = e.primary == SQLITE_CORRUPT || e.primary == SQLITE_NOTADB || e.primary == SQLITE_ERROR;
      if (attempt == 0 && broken) {
        for (const char* suffix : {"", "-journal", "-wal", "-shm"}) ::unlink((index_path(store_) + suffix).c_str());
      } else {
        attempt = 1;
      }
    }
  }
}

Index::~Index() = default;

void Index::open(bool in_memory) {
  in_memory_ = in_memory;
  const std::string path = in_memory ? ":memory:" : index_path(store_);
  // SQLite would make the file with the umask's mode; made here, it is 0600 from its first moment.
  if (!in_memory) UniqueFd(open_private(path, O_CREAT | O_RDWR));
  db_ = std::make_unique<Database>(path);
  // A cache that a power cut damages is built again.
  db_->run("PRAGMA synchronous=OFF; PRAGMA journal_mode=TRUNCATE; PRAGMA cache_size=-16384; BEGIN IMMEDIATE");
  {
    Statement version(db_->handle, "PRAGMA user_version");
    Statement tables(db_->handle, "SELECT count(*) FROM sqlite_master");
    version.step();
    tables.step();
    if (tables.number(0) == 0)
      db_->run((std::string(kSchema) + "PRAGMA user_version=" + std::to_string(kVersion)).c_str());
    else if (version.number(0) != kVersion)
      throw DatabaseError(SQLITE_NOTADB, "of another version");
  }
  update();
  db_->run("COMMIT");
  if (unsaid_problems_ > 0) problems_.push_back("and " + std::to_string(unsaid_problems_) + " more of this kind");
}

void Index::problem(std::string text) {
  if (problems_.size() < kMaxProblems)
    problems_.push_back(std::move(text));
  else
    ++unsaid_problems_;
}

void Index::update() {
  std::set<std::string> seen;
  std::error_code error;
  for (fs::directory_iterator sender(senders_path(store_), error), end; !error && sender != end;
       sender.increment(error)) {
    std::error_code inner;
    for (fs::directory_iterator file(sender->path(), inner); !inner && file != end; file.increment(inner)) {
      if (file->path().extension() != ".jsonl") continue;
      const std::string relative = sender->path().filename().string() + '/' + file->path().filename().string();
      seen.insert(relative);
      update_file(relative, file->path().string());
    }
    if (inner && inner != std::errc::not_a_directory) problem(sender->path().string() + ": " + inner.message());
  }
  if (error && error != std::errc::no_such_file_or_directory) problem(senders_path(store_) + ": " + error.message());

  std::vector<std::string> gone;
  Statement all(db_->handle, "SELECT path FROM files");
  while (all.step())
    if (!seen.contains(all.text(0))) gone.push_back(all.text(0));
  for (const std::string& path : gone) {
    Statement(db_->handle, "DELETE FROM sessions WHERE file=(SELECT rowid FROM files WHERE path=?)").bind(path).run();
    Statement(db_->handle, "DELETE FROM files WHERE path=?").bind(path).run();
  }
}

void Index::update_file(const std::string& relative, const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return problem(path + ": " + std::strerror(errno));
  const auto size = static_cast<uint64_t>(status.st_size);
  const int64_t mtime_ns = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
  int64_t row = -1, bad = 0;
  uint64_t indexed = 0;
  std::string head;
  bool same = false, unchanged = false;
  {
    Statement known(db_->handle, "SELECT rowid,inode,size,mtime_ns,indexed,bad,head FROM files WHERE path=?");
    if (known.bind(relative).step()) {
      row = known.number(0);
      indexed = static_cast<uint64_t>(known.number(4));
      bad = known.number(5);
      head = known.text(6);
      same = known.number(1) == static_cast<int64_t>(status.st_ino) && size >= indexed;
      unchanged = same && static_cast<uint64_t>(known.number(2)) == size && known.number(3) == mtime_ns;
    }
  }
  const auto tell_bad = [&] {
    if (bad > 0)
      problem(path + ": " + std::to_string(bad) + (bad == 1 ? " line is" : " lines are") + " no transcript, left out");
  };
  if (unchanged) return tell_bad();

  std::unique_ptr<MappedFile> file;
  try {
    file = std::make_unique<MappedFile>(path);
  } catch (const std::system_error& e) {
    return problem(e.what());
  }
  const std::string_view bytes = file->bytes();
  same = same && bytes.size() >= indexed && bytes.substr(0, head.size()) == head &&
         (indexed == 0 || bytes[indexed - 1] == '\n');
  if (!same) {
    if (row >= 0) {
      Statement(db_->handle, "DELETE FROM sessions WHERE file=?").bind(row).run();
    } else {
      Statement(db_->handle, "INSERT INTO files(path) VALUES(?)").bind(relative).run();
      row = sqlite3_last_insert_rowid(db_->handle);
    }
    indexed = 0;
    bad = 0;
  }

  Statement insert(db_->handle, "INSERT INTO sessions VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  for (size_t end = 0; (end = bytes.find('\n', indexed)) != std::string_view::npos; indexed = end + 1) {
    const std::string_view line = bytes.substr(indexed, end - indexed);
    if (line.empty()) continue;
    ++lines_read_;
    const std::optional<TranscriptLine> t = scan_transcript_line(line);
    if (!t) {
      ++bad;
      continue;
    }
    const auto address = address_bytes(t->sender_ip);
    insert.bind(t->id).bind(static_cast<int64_t>(t->icid)).bind(t->started);
    if (address)
      insert.bind_blob(address->data(), address->size());
    else
      insert.bind_null();
    insert.bind(t->sender_ip).bind(t->verdict).bind(t->code).bind(t->phase).bind(t->party).bind(t->summary);
    const std::string notes = packed(t->notes);
    insert.bind(row).bind(static_cast<int64_t>(indexed)).bind(static_cast<int64_t>(line.size()));
    insert.bind(notes).bind(static_cast<int64_t>(t->left_out)).run();
  }
  head = bytes.substr(0, std::min<uint64_t>(indexed, kHeadBytes));
  Statement(db_->handle, "UPDATE files SET inode=?,size=?,mtime_ns=?,indexed=?,bad=?,head=? WHERE rowid=?")
      .bind(static_cast<int64_t>(status.st_ino))
      .bind(static_cast<int64_t>(size))
      .bind(mtime_ns)
      .bind(static_cast<int64_t>(indexed))
      .bind(bad)
      .bind_blob(head.data(), head.size())
      .bind(row)
      .run();
  tell_bad();
}

uint64_t Index::query(const IndexQuery& query, const std::function<bool(const IndexEntry&)>& on_entry) {
  std::string where = " WHERE 1";
  if (!query.senders.empty()) {
    where += " AND (0";
    for (size_t i = 0; i < query.senders.size(); ++i) where += " OR sender BETWEEN ? AND ?";
    where += ")";
  }
  where += in_list("verdict", query.verdicts);
  if (!query.since.empty()) where += " AND started >= ?";
  if (!query.until.empty()) where += " AND started < ?";
  if (!query.id_prefix.empty()) where += " AND id >= ? AND substr(id, 1, length(?)) = ?";
  std::string sql =
      "SELECT id, icid, started, ip, verdict, code, phase, party, summary, files.path AS path, offset, sessions.length "
      "AS length, notes, left_out, sender FROM sessions JOIN files ON files.rowid = sessions.file" +
      where;
  if (query.last > 0)
    sql = "SELECT * FROM (" + sql + " ORDER BY started DESC, id DESC LIMIT " + std::to_string(query.last) + ")";
  sql += query.by_sender ? " ORDER BY sender, ip, started, id" : " ORDER BY started, id";

  Statement rows(db_->handle, sql);
  for (const auto& [first, last] : query.senders)
    rows.bind_blob(first.data(), first.size()).bind_blob(last.data(), last.size());
  for (const std::string& value : query.verdicts) rows.bind(value);
  if (!query.since.empty()) rows.bind(query.since);
  if (!query.until.empty()) rows.bind(query.until);
  if (!query.id_prefix.empty()) rows.bind(query.id_prefix).bind(query.id_prefix).bind(query.id_prefix);

  uint64_t count = 0;
  const std::string senders = senders_path(store_) + '/';
  while (rows.step()) {
    IndexEntry entry{rows.text(0),
                     static_cast<uint64_t>(rows.number(1)),
                     rows.text(2),
                     rows.text(3),
                     rows.text(4),
                     rows.text(5),
                     rows.text(6),
                     rows.text(7),
                     rows.text(8),
                     senders + rows.text(9),
                     static_cast<uint64_t>(rows.number(10)),
                     static_cast<uint64_t>(rows.number(11)),
                     unpacked(rows.text(12)),
                     static_cast<uint64_t>(rows.number(13))};
    if (!finds(query, entry)) continue;
    ++count;
    if (!on_entry(entry)) break;
  }
  return count;
}

}  // namespace smtpscope
