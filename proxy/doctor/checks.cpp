#include "proxy/doctor/checks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "capture/error_words.h"
#include "capture/transcript/harmless.h"
#include "config/units.h"
#include "proxy/doctor/view.h"
#include "proxy/net/socket.h"

namespace smtpscope {
namespace {

constexpr uint64_t kFewDescriptors = 1024, kSomeDescriptors = 8192;
constexpr uint64_t kLittleSpace = 100ULL << 20, kSomeSpace = 1ULL << 30;
constexpr uint32_t kSmallMtu = 1280;
constexpr int64_t kSlowLookUpUs = 1'000'000;
constexpr int64_t kRefusedUs = 500'000;  // no answer before that: somebody said that there is none

HostFindings one(HostFinding finding) { return {std::move(finding)}; }

HostFinding with(HostFinding finding, nlohmann::ordered_json facts) {
  finding.facts = std::move(facts);
  return finding;
}

std::string shown(const Endpoint& e) { return format_host_port({e.ip, e.port}); }

/// Does the configured mode need what the kernel does for inline proxies?
const char* no_diversion(const DoctorFacts& f) {
  if (!f.configured) return "no configuration: whether it matters is not known";
  return f.accepts(Accept::tproxy) ? nullptr : "no listener with \"accept\": \"tproxy\"";
}

HostFindings programs(const DoctorFacts& f) {
  if (const char* why = no_diversion(f)) return one(skipped(why));
  if (f.missing_programs.empty()) return one(fine("ip, ss, nft and sysctl are there"));
  return one(fail(fmt::format("not found: {}", fmt::join(f.missing_programs, ", ")),
                  "apt-get install iproute2 nftables procps"));
}

HostFindings kernel(const DoctorFacts& f) {
  if (const char* why = no_diversion(f)) return one(skipped(why));
  if (f.divert && f.divert->nobody) return one(skipped("not tried, since nobody is to be diverted yet (below)"));
  if (f.divert && !f.divert->error.empty()) return one(skipped("not tried, since `divert on` would refuse (below)"));
  if (!f.nft.tried) return one(skipped(f.root ? "nft is not there" : "needs root"));
  if (f.nft.ok)
    return one(with(fine(fmt::format("Linux {} takes every statement that `divert on` uses", f.kernel)),
                    {{"kernel", f.kernel}}));
  return one(with(
      fail(
          fmt::format("Linux {} refuses a rule that `divert on` needs: {}", f.kernel, fit(harmless(f.nft.output), 200)),
          "modprobe nft_tproxy nft_socket nft_fib_inet; without these modules this kernel cannot be inline"),
      {{"kernel", f.kernel}}));
}

HostFindings capabilities(const DoctorFacts& f) {
  if (!f.configured) return one(skipped("no configuration: whether it matters is not known"));
  HostFindings all;
  const bool admin = f.has_capability(CAP_NET_ADMIN), bind = f.has_capability(CAP_NET_BIND_SERVICE);
  const nlohmann::ordered_json facts = {{"cap_net_admin", admin}, {"cap_net_bind_service", bind}};
  constexpr const char* kHow =
      "run it by the unit file of the package, or as root (doctor judges the user who calls it)";
  if ((f.accepts(Accept::tproxy) || f.in_senders_name()) && !admin)
    all.push_back(
        with(fail("no CAP_NET_ADMIN: neither diverted connections nor connections in a sender's name", kHow), facts));
  const auto low = std::find_if(f.ports.begin(), f.ports.end(),
                                [&](const PortFact& p) { return p.at.port != 0 && p.at.port < f.first_free_port; });
  if (low != f.ports.end() && !bind)
    all.push_back(
        with(fail(fmt::format("no CAP_NET_BIND_SERVICE: port {} is below {}", low->at.port, f.first_free_port), kHow),
             facts));
  if (all.empty()) all.push_back(with(fine("this user has all that the configuration needs"), facts));
  return all;
}

HostFindings ports(const DoctorFacts& f) {
  if (f.ports.empty()) return one(skipped("no listener in the configuration"));
  HostFindings all;
  for (const PortFact& p : f.ports) {
    const std::string at = format_host_port(p.at);
    nlohmann::ordered_json facts = {
        {"address", at},
        {"what", p.what},
        {"holder", p.holder.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(harmless(p.holder))}};
    HostFinding finding;
    if (p.error == 0)
      finding = fine(fmt::format("{} {} is free", p.what, at));
    else if (p.error == EADDRINUSE && p.ours)
      finding = fine(fmt::format("{} {}: smtpscope listens there already ({})", p.what, at, harmless(p.holder)));
    else if (p.error == EADDRINUSE)
      finding = fail(fmt::format("{} {} is taken{}", p.what, at, p.holder.empty() ? "" : " by " + harmless(p.holder)),
                     "stop that program, move it to another port, or take another one here");
    else if (p.error == EADDRNOTAVAIL)
      finding = fail(fmt::format("{} {}: this host has no such address", p.what, at),
                     "`ip addr` lists those that it has; 0.0.0.0 and [::] are all");
    else if (p.error == EACCES || p.error == EPERM)
      finding = skipped(fmt::format("{} {}: this user may not try ({})", p.what, at, error_words(errno_name(p.error))));
    else
      finding = fail(fmt::format("{} {}: {}", p.what, at, error_words(errno_name(p.error))), "");
    all.push_back(with(std::move(finding), std::move(facts)));
  }
  return all;
}

HostFindings descriptors(const DoctorFacts& f) {
  const uint64_t sessions = f.descriptors / 2;
  HostFinding finding =
      f.descriptors < kFewDescriptors
          ? fail(fmt::format("at most {} open files: some {} sessions at once", f.descriptors, sessions),
                 "LimitNOFILE= in the unit, or `ulimit -Hn`")
      : f.descriptors < kSomeDescriptors
          ? warn(fmt::format("at most {} open files: some {} sessions at once", f.descriptors, sessions),
                 "LimitNOFILE= in the unit, or `ulimit -Hn`, if more may come")
          : fine(fmt::format("at most {} open files: some {} sessions at once", f.descriptors, sessions));
  return one(with(std::move(finding), {{"open_files", f.descriptors}, {"sessions", sessions}}));
}

HostFindings divert(const DoctorFacts& f) {
  if (const char* why = no_diversion(f)) return one(skipped(why));
  if (!f.divert) return one(skipped(f.root ? "ip or nft is not there" : "needs root"));
  if (f.divert->nobody)
    return one(
        skipped("nobody is to be diverted yet: no senders are named, and no window is open. Once the proxy runs: "
                "smtpscope window open --sender ADDRESS --for 30m; then call doctor again"));
  if (!f.divert->error.empty()) return one(fail("`divert on` would refuse: " + f.divert->error, ""));
  HostFindings all;
  std::vector<std::string> chains;
  for (const FilterObstacle& obstacle : f.divert->obstacles) chains.push_back(obstacle.chain);
  const nlohmann::ordered_json facts = {{"changes", f.divert->changes}, {"drop_chains", chains}};
  if (f.divert->changes.empty())
    all.push_back(with(fine("`divert on` would work; this host forwards already"), facts));
  else
    all.push_back(
        with(warn(fmt::format("`divert on` would set {}", fmt::join(f.divert->changes, ", ")),
                  "a host that does not forward is seldom on the way between senders and gateway: is it the right one? "
                  "(`divert off` sets it back)"),
             facts));
  for (const FilterObstacle& o : f.divert->obstacles) {
    const std::string insert = fmt::format("{}", fmt::join(o.insert, "; "));
    const std::string advice = fmt::format("before `divert on`: {} (after `divert off`, to take that out again: {})",
                                           insert, fmt::join(o.remove, "; "));
    all.push_back(o.certain
                      ? fail(fmt::format("the packet filter's chain \"{}\" drops diverted sessions, which end on this "
                                         "host: `divert on` refuses",
                                         o.chain),
                             advice)
                      : warn(fmt::format("the rules of the packet filter's chain \"{}\" do not tell whether diverted "
                                         "sessions pass, which end on this host",
                                         o.chain),
                             advice));
  }
  return all;
}

HostFindings reverse_path(const DoctorFacts& f) {
  if (!f.accepts(Accept::tproxy) && !f.in_senders_name())
    return one(skipped("matters only where the gateway sees the sender's address"));
  HostFindings all;
  std::vector<std::string> strict;
  for (const RouteFact& r : f.routes)
    if (r.rp_filter == 1 && std::find(strict.begin(), strict.end(), r.dev) == strict.end()) strict.push_back(r.dev);
  const nlohmann::ordered_json facts = {{"strict", strict}, {"default_routes", f.default_routes}};
  if (strict.empty()) return one(with(fine("no strict reverse path filter on the way"), facts));
  if (f.default_routes < 2)
    return one(
        with(fine(fmt::format("strict on {}; there is only one way out, so that nothing comes another way than it goes",
                              fmt::join(strict, ", "))),
             facts));
  return one(with(warn(fmt::format("strict on {}, and default routes lead over {} interfaces: packets that come "
                                   "another way than they would go are dropped",
                                   fmt::join(strict, ", "), f.default_routes),
                       "sysctl -w net.ipv4.conf.INTERFACE.rp_filter=2 where senders' packets may come by either"),
                  facts));
}

/// The route to the gateway of the same family of addresses; null if there is none, or it is this host.
const RouteFact* gateway_beside(const DoctorFacts& f, const RouteFact& sender) {
  const auto is_v6 = [](const std::string& address) { return address.find(':') != std::string::npos; };
  for (const RouteFact& r : f.routes)
    if (r.gateway && !r.local && r.error.empty() && is_v6(r.to) == is_v6(sender.to)) return &r;
  return nullptr;
}

HostFinding judge_route(const DoctorFacts& f, const RouteFact& r) {
  const bool needs_way_back = f.accepts(Accept::tproxy) || f.in_senders_name();
  const std::string who = fmt::format("{} {}", r.gateway ? "gateway" : "sender", r.to);
  const std::string way = fmt::format("by {}{}", r.dev, r.via.empty() ? ", on the link" : " via " + r.via);
  if (!r.error.empty()) {
    if (!r.gateway && !needs_way_back) return skipped(fmt::format("no way to the {}; none is needed", who));
    return fail(fmt::format("no way to the {}: {}", who, harmless(r.error)),
                "`ip route` shows the ways that this host has");
  }
  if (r.local) return fine(fmt::format("the {} is this host", who));
  const RouteFact* gateway = r.gateway ? nullptr : gateway_beside(f, r);
  if (needs_way_back && f.settings.divert.bridge.empty() && gateway != nullptr && r.dev == gateway->dev &&
      r.via == gateway->via)
    return warn(fmt::format("the {} and the gateway are reached the same way ({}): this host does not look like one "
                            "between them",
                            who, way),
                "the gateway's replies to senders have to come through here: `ip route get SENDER` on the gateway must "
                "name this host");
  return fine(fmt::format("the {} is reached {}", who, way));
}

HostFindings routes(const DoctorFacts& f) {
  if (f.routes.empty()) return one(skipped("no gateway and no sender with an address in the configuration"));
  HostFindings all;
  for (const RouteFact& r : f.routes)
    all.push_back(with(judge_route(f, r), {{"to", r.to},
                                           {"role", r.gateway ? "gateway" : "sender"},
                                           {"interface", r.dev},
                                           {"via", r.via},
                                           {"mtu", r.mtu},
                                           {"local", r.local}}));
  return all;
}

HostFindings mtu(const DoctorFacts& f) {
  uint32_t to_gateway = 0, to_senders = 0;
  for (const RouteFact& r : f.routes) {
    if (r.mtu == 0 || r.local) continue;
    uint32_t& side = r.gateway ? to_gateway : to_senders;
    side = side == 0 ? r.mtu : std::min(side, r.mtu);
  }
  const nlohmann::ordered_json facts = {{"to_gateway", to_gateway}, {"to_senders", to_senders}};
  if (to_gateway == 0) return one(with(skipped("no way to a gateway that is not this host"), facts));
  if (to_gateway < kSmallMtu || (to_senders != 0 && to_senders < kSmallMtu))
    return one(with(warn(fmt::format("an interface on the way has an MTU of {}",
                                     to_senders == 0 ? to_gateway : std::min(to_gateway, to_senders)),
                         "IPv6 needs 1280; mail with large packets may stall"),
                    facts));
  if (f.accepts(Accept::tproxy) && to_senders > to_gateway)
    return one(with(warn(fmt::format("{} bytes towards senders, {} towards the gateway", to_senders, to_gateway),
                         "direct sessions depend on ICMP \"too big\" messages to cross here, proxied ones do not: a "
                         "sender whose mail stalls directly and "
                         "passes through the proxy has a path MTU problem"),
                    facts));
  return one(with(
      fine(to_senders == 0 ? fmt::format("{} bytes towards the gateway", to_gateway)
                           : fmt::format("{} bytes towards senders, {} towards the gateway", to_senders, to_gateway)),
      facts));
}

HostFindings clock(const DoctorFacts& f) {
  if (!f.clock.synchronised)
    return one(with(warn("the kernel does not know this host's clock to be synchronised",
                         "NTP (chrony, systemd-timesyncd); else times in transcripts do not match the gateway's log"),
                    {{"synchronised", false}}));
  return one(with(fine(fmt::format("synchronised, to about {:.0f} ms", static_cast<double>(f.clock.error_us) / 1000)),
                  {{"synchronised", true}, {"error_us", f.clock.error_us}}));
}

HostFindings store(const DoctorFacts& f) {
  const StoreFact& s = f.store;
  const std::string path = f.settings.store.path;
  nlohmann::ordered_json facts = {
      {"path", path}, {"exists", s.exists}, {"file_system", s.file_system}, {"free_bytes", s.free_bytes}};
  const auto add = [&](HostFindings& all, HostFinding finding) { all.push_back(with(std::move(finding), facts)); };
  HostFindings all;
  if (!s.error.empty())
    return one(with(fail(fmt::format("{}: {}", path, s.error), "sessions would pass, and none be recorded"), facts));
  if (!s.writable)
    add(all, fail(fmt::format("{} cannot be written to by this user", s.looked_at),
                  "sessions would pass, and none be recorded: chown it to the user that runs smtpscope"));
  if (s.exists && (s.mode & 077) != 0)
    add(all, warn(fmt::format("{} is open to others (mode {:04o})", path, s.mode),
                  fmt::format("it holds mail: chmod 0700 {}", path)));
  if (s.free_bytes < kLittleSpace)
    add(all, fail(fmt::format("only {} MiB are free for {}", s.free_bytes >> 20, path),
                  "recording stops when the disk is full (mail goes on)"));
  else if (s.free_bytes < kSomeSpace ||
           (f.settings.store.max_size > 0 && s.free_bytes < f.settings.store.max_size / 10))
    add(all, warn(fmt::format("{} MiB are free for {}", s.free_bytes >> 20, path),
                  "recording stops when the disk is full (mail goes on); \"body\": \"headers\" takes less"));
  if (s.file_system == "tmpfs" || s.file_system == "ramfs")
    add(all, warn(fmt::format("{} is in memory ({})", s.looked_at, s.file_system),
                  "recordings are gone after a restart of this host"));
  if (s.file_system == "nfs" || s.file_system == "cifs" || s.file_system == "smb2" || s.file_system == "fuse")
    add(all, warn(fmt::format("{} is on {}", s.looked_at, s.file_system),
                  "a server that hangs stops recording (mail goes on); a local disk is better"));
  if (all.empty())
    add(all, fine(fmt::format("{}: {}, {} MiB free on {}", path, s.exists ? "can be written" : "will be made",
                              s.free_bytes >> 20, s.file_system)));
  return all;
}

HostFindings resolver(const DoctorFacts& f) {
  if (!f.settings.dns.look_up) return one(skipped("dns.look_up is off"));
  if (!f.resolver) return one(skipped("no address to ask for"));
  const ReverseLookUp& a = f.resolver->answer;
  const nlohmann::ordered_json facts = {{"asked", f.resolver->asked},
                                        {"servers", f.resolver->servers},
                                        {"status", a.status},
                                        {"ms", static_cast<double>(a.name_us) / 1000}};
  const std::string asked = fmt::format("asked for the name of {}", f.resolver->asked);
  const double seconds = static_cast<double>(a.name_us) / 1e6;
  const auto warned = [&](const std::string& says) {
    return one(with(warn(fmt::format("{} {}", f.resolver->servers, says),
                         "set dns.resolver (without it /etc/resolv.conf holds) to a server that answers, best the one "
                         "that the gateway asks: else slow greetings cannot be put down to reverse DNS, and senders by "
                         "name are not found"),
                    facts));
  };
  if (a.status == "unreachable" && a.name_us < kRefusedUs)
    return warned(fmt::format("cannot be reached ({}): nothing listens there, or a packet filter refuses it", asked));
  if (a.status == "unreachable")
    return warned(fmt::format("does not answer at all ({}, waited {:.1f} s)", asked, seconds));
  if (a.status == "servfail") return warned(fmt::format("fails (SERVFAIL) when {}", asked));
  if (a.status == "refused") return warned(fmt::format("refuses to answer when {}", asked));
  if (a.status == "pending" || a.status == "timeout")
    return warned(fmt::format("answers, but not within {:.1f} s when {}", seconds, asked));
  if (a.status != "ok" && a.status != "nxdomain" && a.status != "nodata")
    return warned(fmt::format("cannot be asked: {}", a.status));
  const std::string said =
      fmt::format("{} says {} after {:.0f} ms, {}", f.resolver->servers, a.status, seconds * 1e3, asked);
  if (a.name_us > kSlowLookUpUs)
    return one(with(warn("the name server is slow: " + said,
                         "if the gateway asks the same one, senders wait for their greeting as long"),
                    facts));
  return one(with(fine(said), facts));
}

const char* no_probe(const DoctorFacts& f) {
  if (!f.configured) return "no configuration";
  if (!f.probed) return "--no-probe";
  return f.probes.empty()
             ? "no gateway in the configuration: connections go on to the address that their sender dialled"
             : nullptr;
}

bool answers(const ProbeFact& p) {
  return p.direct.hello() != nullptr && p.direct.greeting && p.direct.greeting->positive();
}

HostFindings gateway(const DoctorFacts& f) {
  if (const char* why = no_probe(f)) return one(skipped(why));
  HostFindings all;
  for (const ProbeFact& p : f.probes) all.push_back(judge_answer(p.direct, shown(p.gateway)));
  return all;
}

HostFindings through_proxy(const DoctorFacts& f) {
  if (const char* why = no_probe(f)) return one(skipped(why));
  HostFindings all;
  for (const ProbeFact& p : f.probes)
    all.push_back(p.proxied ? compare_probes(p.direct, *p.proxied) : skipped(p.why_not));
  return all;
}

HostFindings view(const DoctorFacts& f) {
  if (!f.configured) return one(skipped("no configuration"));
  if (f.probed && f.probes.empty())
    return one(skipped("a diverted connection goes on in its sender's name; the transcript's gateway.sees tells"));
  if (const char* why = no_probe(f)) return one(skipped(why));
  HostFindings all;
  const Present present = f.settings.gateway.present;
  for (const ProbeFact& p : f.probes)
    all.push_back(p.local       ? view_of_local(present)
                  : !answers(p) ? skipped(fmt::format("{} does not answer", shown(p.gateway)))
                                : judge_view(present, p.direct, shown(p.gateway), f.has_capability(CAP_NET_ADMIN)));
  return all;
}

constexpr std::array<Check, 15> kAll{{
    {"programs", "programs that `divert` runs", programs},
    {"kernel", "the kernel's part in a diversion", kernel},
    {"capabilities", "privileges", capabilities},
    {"ports", "addresses to listen on", ports},
    {"descriptors", "open files", descriptors},
    {"divert", "what `divert on` would do", divert},
    {"routes", "the way to the gateway and back", routes},
    {"reverse-path", "reverse path filter", reverse_path},
    {"mtu", "packet sizes", mtu},
    {"clock", "this host's clock", clock},
    {"store", "the store", store},
    {"resolver", "name server", resolver},
    {"gateway", "the gateway", gateway},
    {"through-proxy", "directly and through the proxy", through_proxy},
    {"view", "whom the gateway sees", view},
}};

}  // namespace

bool DoctorFacts::accepts(Accept how) const {
  return std::any_of(settings.listeners.begin(), settings.listeners.end(),
                     [&](const ListenerSettings& l) { return l.accept == how; });
}

std::span<const Check> doctor_checks() { return kAll; }

std::vector<CheckedFindings> examine(const DoctorFacts& facts) {
  std::vector<CheckedFindings> all;
  all.reserve(kAll.size());
  for (const Check& check : kAll) all.push_back({&check, check.judge(facts)});
  return all;
}

bool unfit(const std::vector<CheckedFindings>& all) {
  return std::any_of(all.begin(), all.end(), [](const CheckedFindings& c) {
    return std::any_of(c.findings.begin(), c.findings.end(),
                       [](const HostFinding& f) { return f.health == Health::failed; });
  });
}

}  // namespace smtpscope
