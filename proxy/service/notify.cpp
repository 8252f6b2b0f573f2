#include "proxy/service/notify.h"

#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace smtpscope {
namespace {

/// A whole number in the environment; 0 if there is none.
uint64_t number(const char* name) {
  const char* text = std::getenv(name);
  uint64_t value = 0;
  if (text == nullptr) return 0;
  const char* end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  return error == std::errc() && at == end ? value : 0;
}

}  // namespace

std::optional<Address> notify_address(std::string_view name) {
  Address address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (name.size() < 2 || name.size() >= sizeof un->sun_path || (name[0] != '/' && name[0] != '@')) return std::nullopt;
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, name.data(), name.size());
  if (name[0] == '@') un->sun_path[0] = '\0';
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (name[0] == '/' ? 1 : 0));
  return address;
}

Notifier Notifier::from_environment() {
  Notifier notifier;
  const char* name = std::getenv("NOTIFY_SOCKET");
  const auto address = name == nullptr ? std::nullopt : notify_address(name);
  if (!address) return notifier;
  notifier.to_ = *address;
  notifier.socket_ = Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const uint64_t meant = number("WATCHDOG_PID");
  if (meant == 0 || meant == static_cast<uint64_t>(getpid())) notifier.watchdog_us_ = number("WATCHDOG_USEC");
  return notifier;
}

bool Notifier::tell(std::string_view lines) const {
  if (!socket_) return true;
  return sendto(socket_.get(), lines.data(), lines.size(), MSG_NOSIGNAL | MSG_DONTWAIT, to_.get(), to_.length) >= 0 ||
         (errno != ECONNREFUSED && errno != ENOENT);
}

}  // namespace smtpscope
