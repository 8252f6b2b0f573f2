#include "proxy/doctor/view_check.h"

#include <spdlog/spdlog.h>
#include <sys/eventfd.h>

#include <unistd.h>
#include <csignal>
#include <cstdint>
#include <exception>

#include "config/units.h"
#include "proxy/doctor/view.h"
#include "proxy/probe/probe.h"

namespace smtpscope {
namespace {

void say(const HostFinding& finding) {
  if (finding.health == Health::skipped) return;
  const std::string text = "gateway view: " + finding.says + (finding.advice.empty() ? "" : ": " + finding.advice);
  if (finding.health == Health::ok)
    spdlog::info("{}", text);
  else
    spdlog::warn("{}", text);
}

/// May this process open connections from addresses that are not its own?
bool may_be_transparent(const Address& like) {
  const Fd fd(socket(like.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return fd && set_transparent(fd.get(), like);
}

void check(const Settings& settings, const Address& gateway, int stop) {
  ProbeRequest request;
  request.to = endpoint_of(gateway);
  request.commands = hello_and_quit();
  if (settings.gateway.present == Present::proxy_v1) request.header = 1;
  if (settings.gateway.present == Present::proxy_v2) request.header = 2;
  const ProbeResult probe = run_probe(request, stop);
  const std::string name = format_host_port(settings.gateway.address);
  const HostFinding answer = judge_answer(probe, name);
  const bool greeted = probe.greeting && probe.greeting->positive();
  if (answer.health != Health::ok) say(answer);
  if (greeted) say(judge_view(settings.gateway.present, probe, name, may_be_transparent(gateway)));
}

}  // namespace

ViewCheck::ViewCheck(const Settings& settings) {
  if (!settings.gateway.view_check || settings.gateway.address.port == 0) return;
  const auto gateway = make_address(settings.gateway.address.host, settings.gateway.address.port);
  if (!gateway) return;
  if (is_local(*gateway)) {
    say(view_of_local(settings.gateway.present));
    return;
  }
  stop_ = Fd(eventfd(0, EFD_CLOEXEC));
  if (!stop_) return;
  // Signals are for the main loop.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([settings, to = *gateway, stop = stop_.get()] {
      try {
        check(settings, to, stop);
      } catch (const std::exception& e) {
        spdlog::warn("gateway view: not known: {}", e.what());
      }
    });
  } catch (const std::exception& e) {
    spdlog::warn("gateway view: not known: {}", e.what());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ViewCheck::~ViewCheck() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  if (write(stop_.get(), &one, sizeof one) < 0) {
    thread_.detach();  // cannot be; better than to wait for the gateway
    return;
  }
  thread_.join();
}

}  // namespace smtpscope
