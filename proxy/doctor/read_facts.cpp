// Reads what doctor judges, from /proc, system calls, `ip` and `nft`. Where something cannot be read the fact stays as
// it is by default, and its check says so.
#include <arpa/inet.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "config/ip.h"
#include "config/sender_filter.h"
#include "proxy/divert/divert.h"
#include "proxy/divert/inspect.h"
#include "proxy/divert/kernel_settings.h"
#include "proxy/divert/names_to_divert.h"
#include "proxy/doctor/facts.h"
#include "proxy/doctor/port_holder.h"
#include "proxy/net/reverse_dns.h"
#include "proxy/net/socket.h"

namespace smtpscope {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;

constexpr size_t kSampleSenders = 3;  ///< a family
constexpr uint64_t kResolverPatienceMs = 16'000;

template <class T>
T number_in(const std::string& path, T otherwise) {
  T value{};
  return std::ifstream(path) >> value ? value : otherwise;
}

json json_of(std::vector<std::string> words, std::string* error = nullptr) {
  const CommandOutcome outcome = run_command({std::move(words), {}});
  if (!outcome.ok() && error != nullptr) *error = outcome.output.substr(0, outcome.output.find('\n'));
  return outcome.ok() ? json::parse(outcome.output, nullptr, false) : json();
}

void read_process(DoctorFacts& facts) {
  facts.root = geteuid() == 0;
  if (utsname name{}; uname(&name) == 0) facts.kernel = name.release;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "CapEff:") {
      status >> std::hex >> facts.capabilities;
      break;
    }
  facts.first_free_port = number_in<uint16_t>("/proc/sys/net/ipv4/ip_unprivileged_port_start", 1024);
  if (rlimit limit{}; getrlimit(RLIMIT_NOFILE, &limit) == 0) facts.descriptors = limit.rlim_max;
}

void read_clock(DoctorFacts& facts) {
  timex now{};
  const int state = adjtimex(&now);
  facts.clock.synchronised = state >= 0 && state != TIME_ERROR && (now.status & STA_UNSYNC) == 0;
  facts.clock.error_us = now.esterror;
}

/// The fourth field of /proc/PID/stat; the second may hold anything, also blanks and brackets.
long parent_of(long pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const size_t end = line.rfind(')');
  long parent = 0;
  if (end != std::string::npos && end + 4 < line.size()) parent = std::strtol(line.c_str() + end + 4, nullptr, 10);
  return parent;
}

/// "smtpscope (pid 12)" of who listens on this port.
std::string holder_of(const HostPort& at) {
  const bool v6 = at.host.find(':') != std::string::npos;
  const CommandOutcome outcome =
      run_command({{"ss", v6 ? "-H6ltnp" : "-H4ltnp", "sport", "=", ":" + std::to_string(at.port)}, {}});
  return outcome.ok() ? port_holder(outcome.output, parent_of) : "";
}

PortFact port_of(const char* what, const HostPort& at, Accept accept) {
  PortFact fact{what, at, accept, 0, {}, false};
  const auto address = make_address(at.host, at.port);
  fact.error = address ? port_taken(*address, accept == Accept::tproxy) : EINVAL;
  if (fact.error == EPERM && accept == Accept::tproxy) fact.error = EACCES;
  if (fact.error == EADDRINUSE) {
    fact.holder = holder_of(at);
    fact.ours = fact.holder.starts_with("smtpscope ");
  }
  return fact;
}

std::string name_of_file_system(int64_t type) {
  constexpr std::array<std::pair<uint32_t, const char*>, 13> kNames{{{0xEF53, "ext4"},
                                                                     {0x58465342, "xfs"},
                                                                     {0x9123683E, "btrfs"},
                                                                     {0x01021994, "tmpfs"},
                                                                     {0x858458F6, "ramfs"},
                                                                     {0x6969, "nfs"},
                                                                     {0xFF534D42, "cifs"},
                                                                     {0xFE534D42, "smb2"},
                                                                     {0x65735546, "fuse"},
                                                                     {0x794C7630, "overlay"},
                                                                     {0x2FC12FC1, "zfs"},
                                                                     {0xF2F52010, "f2fs"},
                                                                     {0x73717368, "squashfs"}}};
  for (const auto& [number, name] : kNames)
    if (static_cast<uint32_t>(type) == number) return name;
  return std::to_string(type);
}

void read_store(DoctorFacts& facts) {
  StoreFact& s = facts.store;
  std::error_code error;
  fs::path at = fs::absolute(facts.settings.store.path, error);
  struct stat is {};
  s.exists = stat(at.c_str(), &is) == 0;
  if (s.exists && !S_ISDIR(is.st_mode)) {
    s.error = "is no folder";
    return;
  }
  s.mode = is.st_mode & 07777;
  while (stat(at.c_str(), &is) != 0 && at.has_relative_path()) at = at.parent_path();
  s.looked_at = at.string();
  s.writable = access(at.c_str(), W_OK | X_OK) == 0;
  struct statfs disk {};
  if (statfs(at.c_str(), &disk) != 0) {
    s.error = std::strerror(errno);
    return;
  }
  s.file_system = name_of_file_system(disk.f_type);
  s.free_bytes = static_cast<uint64_t>(disk.f_bavail) * static_cast<uint64_t>(disk.f_bsize);
  s.total_bytes = static_cast<uint64_t>(disk.f_blocks) * static_cast<uint64_t>(disk.f_bsize);
}

RouteFact route_to(const std::string& address, bool gateway) {
  RouteFact fact;
  fact.to = address;
  fact.gateway = gateway;
  const bool v6 = address.find(':') != std::string::npos;
  const json routes = json_of({"ip", "-j", v6 ? "-6" : "-4", "route", "get", address}, &fact.error);
  if (!fact.error.empty()) return fact;
  if (!routes.is_array() || routes.empty() || !routes[0].is_object()) {
    fact.error = "what `ip route get` printed cannot be understood";
    return fact;
  }
  const json& route = routes[0];
  fact.dev = route.value("dev", "");
  fact.via = route.value("gateway", "");
  fact.local = route.value("type", "") == "local";
  fact.mtu = number_in<uint32_t>("/sys/class/net/" + fact.dev + "/mtu", 0);
  if (!v6 && !fact.local)
    for (const std::string& name : {std::string("all"), fact.dev})
      fact.rp_filter =
          std::max(fact.rp_filter, number_in<uint32_t>("/proc/sys/net/ipv4/conf/" + name + "/rp_filter", 0));
  return fact;
}

/// Some addresses of captured senders; none of "any", which is everywhere.
std::vector<std::string> sample_senders(const std::vector<std::string>& senders,
                                        const std::vector<std::string>& exclude, const ResolvedNames& names) {
  std::vector<std::string> sample;
  if (std::find(senders.begin(), senders.end(), "any") != senders.end()) return sample;
  const auto filter = SenderFilter::build(senders, exclude, names);
  if (!filter) return sample;
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
    const auto ranges = filter->ranges(family);
    for (size_t i = 0; i < std::min(ranges.size(), kSampleSenders); ++i)  // the first address of a network is no host's
      sample.push_back((ranges[i].first == ranges[i].last ? ranges[i].first : ranges[i].first.next()).to_string());
  }
  return sample;
}

void read_routes(DoctorFacts& facts, const ResolvedNames& names, const OpenWindows& windows) {
  for (const Endpoint& gateway : gateways_of(facts.settings)) facts.routes.push_back(route_to(gateway.ip, true));
  if (facts.configured) {
    std::vector<std::string> senders =
        sample_senders(facts.settings.capture.senders, facts.settings.capture.exclude, names);
    for (const DivertWindow& window : windows.opened)
      for (std::string& sender : sample_senders(window.senders, window.exclude, names))
        if (std::find(senders.begin(), senders.end(), sender) == senders.end()) senders.push_back(std::move(sender));
    for (const std::string& sender : senders) facts.routes.push_back(route_to(sender, false));
  }
  std::set<std::string> ways;
  for (const json& route : json_of({"ip", "-j", "-4", "route", "show", "default"}))
    if (route.is_object()) ways.insert(route.value("dev", ""));
  facts.default_routes = static_cast<uint32_t>(ways.size());
}

void read_diversion(DoctorFacts& facts, const ResolvedNames& names, const OpenWindows& windows) {
  for (const char* program : {"ip", "ss", "nft", "sysctl"})
    if (run_command({{program, program[0] == 'n' ? "--version" : "-V"}, {}}).status == 127)
      facts.missing_programs.emplace_back(program);
  if (!facts.root || !facts.missing_programs.empty()) return;
  const OpenWindows file_alone;  // what `divert on` would do once the file's own window is open again
  const DivertPlanning plan = plan_with_windows(facts.settings, names, windows.none() ? file_alone : windows);
  DivertFact& fact = facts.divert.emplace();
  fact.nobody = plan.nobody && facts.settings.capture.senders.empty();
  if (fact.nobody) return;
  if (!plan.faults.empty()) {
    fact.error = plan.faults[0].pointer + ": " + plan.faults[0].message;
    return;
  }
  const auto preview = preview_divert(plan.intent);
  if (!preview) {
    fact.error = preview.error();
    return;
  }
  for (const ChangedSetting& s : preview->state.settings)
    if (read_kernel_setting(s.name) != s.during) fact.changes.push_back(s.name + " = " + s.during);
  fact.obstacles = preview->obstacles;
  for (Command command : preview->on) {
    if (command.words[0] != "nft") continue;
    command.words.insert(command.words.begin() + 1, "-c");  // the kernel takes it, and then forgets it
    const CommandOutcome outcome = run_command(command);
    facts.nft = {true, outcome.ok(), outcome.output};
  }
}

void read_resolver(DoctorFacts& facts) {
  if (!facts.settings.dns.look_up) return;
  std::string asked;
  for (const RouteFact& r : facts.routes)
    if (asked.empty()) asked = r.to;
  if (asked.empty()) asked = "127.0.0.1";
  std::string servers;
  if (const auto& at = facts.settings.dns.resolver)
    servers =
        (at->host.find(':') == std::string::npos ? at->host : "[" + at->host + "]") + ":" + std::to_string(at->port);
  uv_loop_t loop;
  uv_loop_init(&loop);
  ResolverFact& fact = facts.resolver.emplace();
  fact.asked = asked;
  try {
    ReverseDns dns(&loop, servers);
    fact.servers = dns.servers();
    bool patient = true;
    const UvPtr<uv_timer_t> limit = make_timer(&loop, &patient);
    uv_timer_start(
        limit.get(), [](uv_timer_t* t) { *static_cast<bool*>(t->data) = false; }, kResolverPatienceMs, 0);
    if (const auto look_up = dns.look_up(asked)) {
      while (!ReverseDns::name_known(*look_up) && patient) uv_run(&loop, UV_RUN_ONCE);
      fact.answer = ReverseDns::facts(*look_up);
    }
  } catch (const std::exception& e) {
    fact.answer.status = e.what();
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
}

ProbeRequest request_to(const Endpoint& to, const DoctorOptions& options) {
  ProbeRequest request;
  request.to = to;
  request.greeting_timeout_ms = options.greeting_timeout_ms;
  request.commands = hello_and_quit();
  return request;
}

/// Through a listener of the running proxy; the reason why not where there is none for it.
void probe_through(const DoctorFacts& facts, const DoctorOptions& options, ProbeFact& probe) {
  probe.why_not = "no smtpscope listens: start it, and call doctor again";
  for (const PortFact& port : facts.ports) {
    if (!port.ours || port.what != "listener") continue;
    if (port.accept == Accept::tproxy) {
      probe.why_not =
          "only a sender's own session is diverted: have one sent, `smtpscope show last` tells whom the gateway saw";
      continue;
    }
    const bool v6 = port.at.host.find(':') != std::string::npos;
    std::string host = port.at.host;
    if (host == "0.0.0.0" || host == "::") {
      const bool same = v6 == (probe.direct.local.ip.find(':') != std::string::npos) && !probe.direct.local.ip.empty();
      host = same ? probe.direct.local.ip : v6 ? "::1" : "127.0.0.1";
    }
    ProbeRequest request = request_to({host, port.at.port}, options);
    if (port.accept == Accept::proxy_protocol) {
      const auto listener = std::find_if(facts.settings.listeners.begin(), facts.settings.listeners.end(),
                                         [&](const ListenerSettings& l) { return l.address == port.at; });
      const auto trusted = SenderFilter::build(listener->trusted, {});
      const auto own = IpAddress::parse(host);  // who dials an address of this host comes from it
      if (!trusted || !own || !trusted->match(*own)) {
        probe.why_not = "the proxy takes connections of load balancers only, and this host is none of them";
        continue;
      }
      request.header = 1;
    }
    probe.proxied = run_probe(request);
    return;
  }
}

void read_probes(DoctorFacts& facts, const DoctorOptions& options) {
  facts.probed = options.probe;
  if (!options.probe) return;
  for (const Endpoint& gateway : gateways_of(facts.settings)) {
    ProbeFact probe;
    probe.gateway = gateway;
    const auto address = make_address(gateway.ip, gateway.port);
    probe.local = address && is_local(*address);
    ProbeRequest request = request_to(gateway, options);
    if (facts.settings.gateway.present == Present::proxy_v1) request.header = 1;
    if (facts.settings.gateway.present == Present::proxy_v2) request.header = 2;
    probe.direct = run_probe(request);
    probe_through(facts, options, probe);
    facts.probes.push_back(std::move(probe));
  }
}

}  // namespace

std::vector<Endpoint> gateways_of(const Settings& settings) {
  const HostPort& named = settings.gateway.address;
  if (named.port != 0) return {{named.host, named.port}};
  std::vector<Endpoint> all;
  const auto filter = SenderFilter::build(settings.divert.destinations, {});
  if (!filter) return all;
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6})
    for (const auto& range : filter->ranges(family))
      if (range.first == range.last) {
        all.push_back({range.first.to_string(), 25});
        break;
      }
  return all;
}

DoctorFacts read_doctor_facts(const Settings& settings, bool configured, const DoctorOptions& options) {
  DoctorFacts facts;
  facts.settings = settings;
  facts.configured = configured;
  read_process(facts);
  read_clock(facts);
  for (const ListenerSettings& listener : settings.listeners)
    facts.ports.push_back(port_of("listener", listener.address, listener.accept));
  if (settings.control.listen)
    facts.ports.push_back(port_of("control address", *settings.control.listen, Accept::direct));
  read_store(facts);
  // Names that cannot be resolved are the plan's to tell.
  const ResolvedNames names = names_to_divert(facts.settings, options.windows.opened, [](const std::string&) {});
  read_routes(facts, names, options.windows);
  if (facts.accepts(Accept::tproxy)) read_diversion(facts, names, options.windows);
  read_resolver(facts);
  read_probes(facts, options);
  return facts;
}

}  // namespace smtpscope
