#include "proxy/service/privileges.h"

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "capture/store/paths.h"

namespace smtpscope {
namespace {

constexpr uint16_t kPrivilegedPorts = 1024;
using CapabilitySet = uint64_t;

constexpr CapabilitySet bit(int capability) { return CapabilitySet{1} << capability; }

struct Capabilities {
  CapabilitySet effective = 0, permitted = 0, inheritable = 0;

  /// Of this thread. libcap would be a library for two system calls.
  static Capabilities now() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    Capabilities all;
    if (syscall(SYS_capget, &header, data.data()) != 0) return all;
    all.effective = data[0].effective | CapabilitySet{data[1].effective} << 32;
    all.permitted = data[0].permitted | CapabilitySet{data[1].permitted} << 32;
    all.inheritable = data[0].inheritable | CapabilitySet{data[1].inheritable} << 32;
    return all;
  }
  void set() const {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    for (unsigned i = 0; i < 2; ++i) {
      data[i].effective = static_cast<uint32_t>(effective >> 32 * i);
      data[i].permitted = static_cast<uint32_t>(permitted >> 32 * i);
      data[i].inheritable = static_cast<uint32_t>(inheritable >> 32 * i);
    }
    syscall(SYS_capset, &header, data.data());
  }
};

bool transparent(const Settings& settings) {
  return settings.gateway.present == Present::sender ||
         std::any_of(settings.listeners.begin(), settings.listeners.end(),
                     [](const ListenerSettings& each) { return each.accept == Accept::tproxy; });
}

CapabilitySet needed(const Settings& settings, bool as_root) {
  CapabilitySet all = 0;
  // The sender's own port, which the gateway is to see, may be one of the privileged.
  if (transparent(settings)) all |= bit(CAP_NET_ADMIN) | bit(CAP_NET_BIND_SERVICE);
  for (const ListenerSettings& each : settings.listeners)
    if (each.address.port < kPrivilegedPorts) all |= bit(CAP_NET_BIND_SERVICE);
  if (as_root) all |= bit(CAP_DAC_OVERRIDE);  // a store or a file of settings that belongs to another user
  return all;
}

std::string failed(const Settings& settings, const char* what) {
  return fmt::format("/user: cannot become \"{}\": {}: {}", settings.user, what, std::strerror(errno));
}

/// A store that does not exist yet is made in that user's name: the folder above it is often root's.
std::string give_store(const std::string& path, const passwd& user) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) return {};
  const std::error_code error = make_private_directories(path);
  if (error) return fmt::format("{}: {}", path, error.message());
  if (chown(path.c_str(), user.pw_uid, user.pw_gid) != 0) return fmt::format("{}: {}", path, std::strerror(errno));
  return {};
}

std::string become_user(const Settings& settings) {
  const passwd* user = getpwnam(settings.user.c_str());
  if (user == nullptr) return fmt::format("/user: there is no user \"{}\" on this host", settings.user);
  if (user->pw_uid == geteuid()) return {};
  if (geteuid() != 0) return fmt::format("/user: only root can become \"{}\"", settings.user);
  if (std::string why = give_store(settings.store.path, *user); !why.empty()) return why;
  prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (initgroups(user->pw_name, user->pw_gid) != 0) return failed(settings, "groups");
  if (setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0) return failed(settings, "group");
  if (setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0) return failed(settings, "user");
  if (access(settings.store.path.c_str(), W_OK | X_OK) != 0)
    return fmt::format("the store {} cannot be written by \"{}\": {} (chown -R {} {})", settings.store.path,
                       settings.user, std::strerror(errno), settings.user, settings.store.path);
  return {};
}

}  // namespace

std::string drop_privileges(const Settings& settings) {
  const bool stays_root = geteuid() == 0 && settings.user.empty();
  const CapabilitySet keep = needed(settings, stays_root);
  for (int each = 0; prctl(PR_CAPBSET_READ, each, 0, 0, 0) >= 0; ++each)
    if ((keep & bit(each)) == 0) prctl(PR_CAPBSET_DROP, each, 0, 0, 0);
  if (!settings.user.empty())
    if (std::string why = become_user(settings); !why.empty()) return why;
  Capabilities capabilities = Capabilities::now();
  capabilities.permitted &= keep;
  capabilities.effective = capabilities.inheritable = capabilities.permitted;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  capabilities.set();
  for (int each = 0; each < 64; ++each)
    if ((capabilities.permitted & bit(each)) != 0) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, each, 0, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // behind all changes of the user, which set it anew
  return {};
}

std::string missing_privilege(const Settings& settings) {
  return transparent(settings) && (Capabilities::now().effective & bit(CAP_NET_ADMIN)) == 0 ? "CAP_NET_ADMIN" : "";
}

}  // namespace smtpscope
