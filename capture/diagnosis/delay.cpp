#include "capture/diagnosis/delay.h"

#include <fmt/core.h>

namespace smtpscope {
namespace {

constexpr int64_t kResolverTry = 5 * kSecond;  // resolv.conf(5), and what most resolvers wait
constexpr int64_t kLate = 3 * kSecond / 20;    // a timer fires so much late at most, on a host that is not busy
constexpr int64_t kLongest = 60 * kSecond;
constexpr int64_t kQuick = kSecond;

/// Is it this multiple of `unit`, or a little later?
bool multiple(const View& v, int64_t us, int64_t unit) {
  return v.c.session.resolution_us == 0 && us >= unit && us <= kLongest + kLate && us % unit <= kLate;
}

}  // namespace

std::string like_a_resolver(const View& v, int64_t us) {
  if (!multiple(v, us, kResolverTry)) return "";
  return fmt::format(
      " {} is a multiple of 5 s, after which resolvers ask again: a DNS look-up of the gateway that got no answer (a "
      "block list, a reputation service) would take so long, but so would a pause by policy.",
      v.seconds(us));
}

std::string like_a_pause(const View& v, int64_t us) {
  if (std::string text = like_a_resolver(v, us); !text.empty()) return text;
  if (us < 3 * kSecond || !multiple(v, us, kSecond)) return "";
  return fmt::format(
      " {} is a round time, as a pause by policy has (Postfix's postscreen waits 6 s unless told otherwise); if other "
      "sessions wait as long, it is one.",
      v.seconds(us));
}

std::string what_look_up_rules_out(const View& v) {
  const auto& ptr = v.c.end.ptr;
  if (ptr && ptr->status == "unreachable")
    return " No name server answered the proxy at all (dns.resolver, or /etc/resolv.conf of its host): if the gateway "
           "asks the same one, its greeting waits for that.";
  if (!ptr || ptr->name_us >= kQuick || ptr->forward_us >= kQuick) return "";
  if (ptr->status != "ok" && ptr->status != "nxdomain" && ptr->status != "nodata") return "";
  return fmt::format(" The sender's reverse DNS is not the cause: it answered the proxy in {:.1f} s.",
                     static_cast<double>(ptr->name_us + ptr->forward_us) / 1e6);
}

}  // namespace smtpscope
