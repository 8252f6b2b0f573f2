#include "proxy/control/control_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "capture/store/paths.h"

namespace smtpscope {
namespace {

constexpr const char* kName = "control.sock";

/// By way of the open folder: a path in sockaddr_un has 107 bytes, and a store's may be longer.
sockaddr_un address_in(const Fd& folder, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/{}", folder.get(), name);
  std::copy_n(path.begin(), std::min(path.size(), sizeof address.sun_path - 1), address.sun_path);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

Error failure(const std::string& store) {
  return Error{fmt::format("{}: {}", control_socket_path(store), std::strerror(errno))};
}

}  // namespace

std::string control_socket_path(const std::string& store) { return store + (store.ends_with('/') ? "" : "/") + kName; }

Result<Fd> ControlSocket::bind() {
  if (const std::error_code error = make_private_directories(store_)) {
    return Error{fmt::format("{}: {}", control_socket_path(store_), error.message())};
  }
  const Fd folder(::open(store_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!folder || !fd) return failure(store_);
  // Made under another name and then put in its place: nobody finds one that is not ready, or open to others.
  const std::string unready = fmt::format(".control.{}.sock", ::getpid());
  ::unlinkat(folder.get(), unready.c_str(), 0);
  const sockaddr_un address = address_in(folder, unready);
  if (::bind(fd.get(), generic(address), sizeof address) != 0) return failure(store_);
  struct stat made {};
  if (::fchmodat(folder.get(), unready.c_str(), 0600, 0) != 0 || ::listen(fd.get(), SOMAXCONN) != 0 ||
      ::fstatat(folder.get(), unready.c_str(), &made, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::renameat(folder.get(), unready.c_str(), folder.get(), kName) != 0) {
    const Error error = failure(store_);
    ::unlinkat(folder.get(), unready.c_str(), 0);
    return error;
  }
  device_ = made.st_dev;
  inode_ = made.st_ino;
  return fd;
}

std::function<ControlSocket::Place()> ControlSocket::place() const {
  return [store = store_, device = device_, inode = inode_] {
    struct stat now {};
    if (::lstat(control_socket_path(store).c_str(), &now) != 0) return errno == ENOENT ? Place::nobodys : Place::ours;
    if (now.st_ino == inode && now.st_dev == device) return Place::ours;
    const Fd folder(::open(store.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_in(folder, kName);
    const bool refused =
        folder && fd && ::connect(fd.get(), generic(address), sizeof address) != 0 && errno == ECONNREFUSED;
    return refused ? Place::nobodys : Place::anothers;
  };
}

ControlSocket::~ControlSocket() {
  const std::string path = control_socket_path(store_);
  struct stat now {};
  if (inode_ != 0 && ::lstat(path.c_str(), &now) == 0 && now.st_ino == inode_ && now.st_dev == device_)
    ::unlink(path.c_str());
}

Result<Fd> connect_control_socket(const std::string& store) {
  const Fd folder(::open(store.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!folder || !fd) return failure(store);
  const sockaddr_un address = address_in(folder, kName);
  if (::connect(fd.get(), generic(address), sizeof address) != 0) return failure(store);
  return fd;
}

}  // namespace smtpscope
