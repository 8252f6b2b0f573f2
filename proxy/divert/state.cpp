#include "proxy/divert/state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <utility>

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

// Not a folder that a service manager removes when the proxy ends: the record has to outlive it.
constexpr const char* kFolder = "/run/smtpscope-divert";
constexpr const char* kSchema = "smtpscope.divert-state/1";
constexpr auto kLockWait = std::chrono::seconds(60);
constexpr const char* kPhases[] = {"changing", "on", "ending"};

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Tells this network namespace, in this run of the kernel, from all others: inode numbers are used again.
std::string namespace_identity() {
  uint64_t cookie = 0;
#ifdef SO_NETNS_COOKIE
  socklen_t length = sizeof cookie;
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || getsockopt(fd.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0) cookie = 0;
#endif
  std::string boot = text_of("/proc/sys/kernel/random/boot_id");
  while (!boot.empty() && boot.back() == '\n') boot.pop_back();
  return fmt::format("{}/{}", boot, cookie);
}

Error cannot(const std::string& what, int error) { return Error{fmt::format("{}: {}", what, std::strerror(error))}; }

}  // namespace

std::string state_json(const DivertState& state) {
  json settings = json::array();
  for (const ChangedSetting& s : state.settings)
    settings.push_back({{"name", s.name}, {"before", s.before}, {"during", s.during}});
  const json out = {{"schema", kSchema},
                    {"namespace", namespace_identity()},
                    {"phase", kPhases[static_cast<size_t>(state.phase)]},
                    {"mark", state.numbers.mark},
                    {"table", state.numbers.table},
                    {"priority", state.numbers.priority},
                    {"zone", state.numbers.zone},
                    {"families", state.families},
                    {"ports", state.ports},
                    {"port", state.port},
                    {"bridged", state.bridged},
                    {"settings", std::move(settings)},
                    {"intent", state.intent},
                    {"listing", state.listing},
                    {"since_us", state.since_us}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::optional<DivertState> read_state_json(const std::string& text) {
  try {
    const json in = json::parse(text);
    if (in.at("schema") != kSchema) return std::nullopt;
    DivertState state;
    const std::string phase = in.at("phase");
    state.phase = phase == kPhases[1]   ? DivertState::Phase::on
                  : phase == kPhases[2] ? DivertState::Phase::ending
                                        : DivertState::Phase::changing;
    in.at("mark").get_to(state.numbers.mark);
    in.at("table").get_to(state.numbers.table);
    in.at("priority").get_to(state.numbers.priority);
    in.at("zone").get_to(state.numbers.zone);
    in.at("families").get_to(state.families);
    in.at("ports").get_to(state.ports);
    in.at("port").get_to(state.port);
    in.at("bridged").get_to(state.bridged);
    for (const json& s : in.at("settings")) state.settings.push_back({s.at("name"), s.at("before"), s.at("during")});
    in.at("intent").get_to(state.intent);
    in.at("listing").get_to(state.listing);
    in.at("since_us").get_to(state.since_us);
    return state;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

Result<StateFile> StateFile::look() {
  struct stat ns {};
  if (stat("/proc/self/ns/net", &ns) != 0) return cannot("/proc/self/ns/net", errno);
  StateFile file;
  file.path_ = fmt::format("{}/{}.json", kFolder, ns.st_ino);
  return file;
}

Result<StateFile> StateFile::lock() {
  Result<StateFile> file = look();
  if (!file) return file;
  const auto deadline = std::chrono::steady_clock::now() + kLockWait;
  for (;;) {
    if (mkdir(kFolder, 0700) != 0 && errno != EEXIST) return cannot(kFolder, errno);
    // Programs that we start inherit the lock: should we be killed, theirs is the last change before the lock is free.
    UniqueFd folder(open(kFolder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!folder && errno == ENOENT) continue;  // the last one has just taken it away
    struct stat locked {
    }, there{};
    if (!folder || fstat(folder.get(), &locked) != 0) return cannot(kFolder, errno);
    if (locked.st_uid != geteuid() || (locked.st_mode & 077) != 0)
      return Error{
          fmt::format("{} belongs to somebody else, or others may use it: its record cannot be trusted", kFolder)};
    while (flock(folder.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return cannot(kFolder, errno);
      if (std::chrono::steady_clock::now() >= deadline) return Error{"another `smtpscope divert` is still at work"};
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    if (stat(kFolder, &there) != 0 || there.st_ino != locked.st_ino || there.st_dev != locked.st_dev) continue;
    file->folder_ = std::move(folder);
    return file;
  }
}

StateFile::~StateFile() {
  if (folder_) rmdir(kFolder);
}

Result<std::optional<DivertState>> StateFile::read() const {
  if (access(path_.c_str(), F_OK) != 0) {
    if (errno == ENOENT) return std::optional<DivertState>();
    return cannot(path_, errno);
  }
  const std::string text = text_of(path_);
  const json in = json::parse(text, nullptr, false);
  // A record of a namespace that is gone, or of before the last boot: all that it tells of is gone, too.
  if (in.is_object() && in.contains("namespace") && in["namespace"] != namespace_identity())
    return std::optional<DivertState>();
  if (auto state = read_state_json(text)) return std::optional<DivertState>(std::move(*state));
  return Error{fmt::format("{} cannot be read: it is damaged, or of another version of smtpscope", path_)};
}

std::optional<Error> StateFile::write(const DivertState& state) const {
  const std::string text = state_json(state), temporary = path_ + ".new";
  const UniqueFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return cannot(temporary, errno);
  size_t at = 0;
  while (at < text.size()) {
    const ssize_t n = ::write(fd.get(), text.data() + at, text.size() - at);
    if (n < 0 && errno != EINTR) return cannot(temporary, errno);
    if (n > 0) at += static_cast<size_t>(n);
  }
  if (fsync(fd.get()) != 0 || rename(temporary.c_str(), path_.c_str()) != 0 || fsync(folder_.get()) != 0)
    return cannot(path_, errno);
  return std::nullopt;
}

std::optional<Error> StateFile::remove() const {
  if (unlink(path_.c_str()) != 0 && errno != ENOENT) return cannot(path_, errno);
  fsync(folder_.get());
  return std::nullopt;
}

}  // namespace smtpscope
