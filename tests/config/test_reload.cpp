// What a reload takes over, and what it keeps and says so.
#include "config/reload.h"

#include "tests/catch.h"

using namespace smtpscope;

namespace {

Settings running() {
  Settings s;
  for (const char* host : {"0.0.0.0", "10.0.0.2"}) {
    s.listeners.emplace_back().address.host = host;
    s.listeners.back().address.port = 25;
  }
  s.listeners[1].accept = Accept::proxy_protocol;
  s.listeners[1].trusted.emplace_back("10.0.0.5");
  s.gateway.address = {"10.0.0.1", 25};
  return s;
}

std::vector<std::string> kept(const ReloadPlan& plan) {
  std::vector<std::string> pointers;
  for (const SettingsIssue& issue : plan.kept) pointers.push_back(issue.pointer);
  return pointers;
}

}  // namespace

TEST_CASE("the same settings reload to themselves") {
  const ReloadPlan plan = plan_reload(running(), running());
  CHECK(plan.kept.empty());
  CHECK(plan.settings.listeners.size() == 2);
}

TEST_CASE("what can change live is taken over, each listener's own things by its address and mode") {
  Settings wanted = running();
  std::swap(wanted.listeners[0], wanted.listeners[1]);
  wanted.listeners[0].trusted = {"10.0.0.6"};
  wanted.listeners[0].header_timeout_ms = 500;
  wanted.gateway.address.port = 2525;
  wanted.gateway.present = Present::proxy_v2;
  wanted.capture.senders = {"192.0.2.0/24"};
  wanted.capture.body = BodyPolicy::none;
  wanted.dns.look_up = false;
  wanted.drain_ms = 1;
  const ReloadPlan plan = plan_reload(running(), wanted);
  CHECK(plan.kept.empty());
  CHECK(plan.settings.listeners[1].trusted == std::vector<std::string>{"10.0.0.6"});
  CHECK(plan.settings.listeners[1].header_timeout_ms == 500);
  CHECK(plan.settings.listeners[0].accept == Accept::direct);
  CHECK(plan.settings.gateway.address.port == 2525);
  CHECK(plan.settings.gateway.present == Present::proxy_v2);
  CHECK(plan.settings.capture.senders == wanted.capture.senders);
  CHECK(plan.settings.capture.body == BodyPolicy::none);
  CHECK_FALSE(plan.settings.dns.look_up);
  CHECK(plan.settings.drain_ms == 1);
}

TEST_CASE("what cannot change live stays, and is named") {
  Settings wanted = running();
  wanted.listeners[0].address.port = 2525;
  wanted.listeners[1].accept = Accept::direct;
  wanted.workers = 4;
  wanted.store.path = "/elsewhere";
  wanted.control.listen = HostPort{"127.0.0.1", 8025};
  wanted.control.token_file = "/token";
  const ReloadPlan plan = plan_reload(running(), wanted);
  CHECK(kept(plan) == std::vector<std::string>{"/listeners", "/listeners", "/listeners/0", "/listeners/1", "/workers",
                                               "/store/path", "/control/listen", "/control/token_file"});
  CHECK(plan.settings.listeners[0].address.port == 25);
  CHECK(plan.settings.listeners[1].accept == Accept::proxy_protocol);
  CHECK(plan.settings.listeners[1].trusted == std::vector<std::string>{"10.0.0.5"});
  CHECK(plan.settings.workers == running().workers);
  CHECK(plan.settings.store.path == running().store.path);
  CHECK_FALSE(plan.settings.control.listen);
}

TEST_CASE("only the window's own settings begin a new window") {
  CaptureSettings a, b;
  b.body = BodyPolicy::none;
  CHECK(same_window(a, b));
  b.exclude = {"192.0.2.1"};
  CHECK_FALSE(same_window(a, b));
}
