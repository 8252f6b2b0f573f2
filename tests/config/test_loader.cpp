// Configuration files: everything that can be set, every kind of mistake with its line and column, and that what is
// shown as effective loads as the same.
#include "config/loader.h"

#include <fstream>
#include <sstream>

#include "config/checks.h"
#include "config/reference.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

Settings load(const std::string& text) {
  auto settings = load_settings_text(text, "f");
  INFO((settings ? std::string() : settings.error()));
  REQUIRE(settings);
  return *settings;
}

std::string error_of(const std::string& text) {
  const auto settings = load_settings_text(text, "f");
  return settings ? "accepted" : settings.error();
}

std::string file(const std::string& path) {
  std::ifstream in(std::string(SMTPSCOPE_SOURCE_DIR) + "/" + path);
  INFO(path);
  REQUIRE(in);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

const char* const kEverything = R"({
  // every key
  "listeners": [{"address": "0.0.0.0:25", "accept": "proxy-protocol", "trusted": ["10.0.0.0/8"],
                 "header_timeout": "5s"},
                {"address": "[::1]:2525"}],
  "gateway": {"address": "10.0.0.1:25", "present": "proxy-v2", "connect_timeout": "90s"},
  "capture": {
    "senders": ["203.0.113.0/24", "198.51.100.10-20", "10.2.3", "2001:db8::/32", "mx.partner.example",
                ".partner.example", "spf:partner.example", "mx:partner.example"],
    "exclude": ["203.0.113.9"], "sessions": 50, "for": "30m", "body": "headers", "body_limit": "64KiB"
  },
  "divert": {"destinations": ["10.0.0.1-2", "2001:db8::25"], "bridge": "br0"},
  "starttls": {"mode": "intercept"},
  "store": {"path": "/srv/s", "max_age": "7d", "max_size": "10GiB", "injection_log": true},
  "control": {"listen": "127.0.0.1:8025", "token_file": "/etc/token"},
  "log": {"level": "debug"}, "workers": 4, "drain": "0s"
})";

}  // namespace

TEST_CASE("every key arrives in its field") {
  const Settings s = load(kEverything);
  REQUIRE(s.listeners.size() == 2);
  CHECK(s.listeners[0].address == HostPort{"0.0.0.0", 25});
  CHECK(s.listeners[0].accept == Accept::proxy_protocol);
  CHECK(s.listeners[0].trusted == std::vector<std::string>{"10.0.0.0/8"});
  CHECK(s.listeners[0].header_timeout_ms == 5000);
  CHECK(s.listeners[1].address == HostPort{"::1", 2525});
  CHECK(s.listeners[1].accept == Accept::direct);
  CHECK(s.gateway.address == HostPort{"10.0.0.1", 25});
  CHECK(s.gateway.present == Present::proxy_v2);
  CHECK(s.gateway.connect_timeout_ms == 90'000);
  CHECK(s.capture.senders.size() == 8);
  CHECK(s.capture.exclude == std::vector<std::string>{"203.0.113.9"});
  CHECK(s.capture.sessions == 50);
  CHECK(s.capture.for_ms == 1'800'000);
  CHECK(s.capture.body == BodyPolicy::headers);
  CHECK(s.capture.body_limit == 65'536);
  CHECK(s.divert.destinations == std::vector<std::string>{"10.0.0.1-2", "2001:db8::25"});
  CHECK(s.divert.bridge == "br0");
  CHECK(s.starttls == StartTlsMode::intercept);
  CHECK(s.store.path == "/srv/s");
  CHECK(s.store.max_age_ms == 604'800'000);
  CHECK(s.store.max_size == 10'737'418'240);
  CHECK(s.store.injection_log);
  CHECK(s.control.listen == HostPort{"127.0.0.1", 8025});
  CHECK(s.control.token_file == "/etc/token");
  CHECK(s.log.level == LogLevel::debug);
  CHECK(s.workers == 4);
  CHECK(s.drain_ms == 0);
}

TEST_CASE("an empty object is the defaults; senders may be one text") {
  CHECK(effective_json(load("{}")) == effective_json(Settings()));
  CHECK(load(R"({"capture": {"senders": "10.2.3"}})").capture.senders == std::vector<std::string>{"10.2.3"});
  CHECK(load(R"({"capture": {"senders": [], "sessions": "unlimited"}})").capture.senders.empty());
}

TEST_CASE("what is shown as effective loads as the same settings") {
  const std::string with_all = effective_json(load(kEverything));
  CHECK(effective_json(load(with_all)) == with_all);
  CHECK(load(with_all).capture.senders == load(kEverything).capture.senders);
  CHECK(load(with_all).drain_ms == 0);
  CHECK(load(with_all).gateway.present == Present::proxy_v2);
  const std::string defaults = effective_json(Settings());
  CHECK(effective_json(load(defaults)) == defaults);
  CHECK(defaults.find("\"max_age\": \"unlimited\"") != std::string::npos);
}

TEST_CASE("each mistake is named with its line and column") {
  struct Row {
    const char *text, *error;
  };
  const Row rows[] = {
      {"[]", "f:1:1: the configuration must be an object, { ... }, not a list"},
      {"{\"capture\": {\n  \"sesions\": 5}}", "f:2:3: /capture/sesions: unknown key; did you mean \"sessions\"?"},
      {"{\"sessions\": 5}", "f:1:2: /sessions: unknown key; \"sessions\" belongs into /capture"},
      {"{\"gateway\": {\"workers\": 5}}",
       "f:1:14: /gateway/workers: unknown key; \"workers\" belongs at the top level"},
      {"{\"log\": {\"zzz\": 5}}", "f:1:10: /log/zzz: unknown key; known here are \"level\""},
      {"{\"listners\": []}", "f:1:2: /listners: unknown key; did you mean \"listeners\"?"},
      {"{\"listeners\": [{\"adress\": \"1.2.3.4:5\", \"address\": \"1.2.3.4:5\"}]}",
       "f:1:17: /listeners/0/adress: unknown key; did you mean \"address\"?"},
      {"{\"workers\": 1,\n\"workers\": 2}", "f:2:1: /workers: this key stands here twice; the first is in line 1"},
      {"{\"workers\": 0}", "f:1:13: /workers: must be a whole number from 1 to 64, not 0"},
      {"{\"workers\": 65}", "f:1:13: /workers: must be a whole number from 1 to 64, not 65"},
      {"{\"workers\": 1.5}", "f:1:13: /workers: must be a whole number from 1 to 64, not 1.5"},
      {"{\"workers\": -1}", "f:1:13: /workers: must be a whole number from 1 to 64, not -1"},
      {"{\"workers\": \"2\"}", "f:1:13: /workers: must be a whole number from 1 to 64, not \"2\""},
      {"{\"workers\": null}", "f:1:13: /workers: must be a whole number from 1 to 64, not null"},
      {"{\"drain\": 10}", "f:1:11: /drain: must be a text like \"10s\" or \"2m\", not 10"},
      {"{\"drain\": \"10\"}", "f:1:11: /drain: \"10\" has no unit: write \"10s\", \"10m\", \"10h\" or \"10d\""},
      {"{\"gateway\": []}", "f:1:13: /gateway: must be an object, { ... }, not a list"},
      {"{\"listeners\": {}}", "f:1:15: /listeners: must be a list of objects, [{ ... }], not an object"},
      {"{\"listeners\": [\"0.0.0.0:25\"]}", "f:1:16: /listeners/0: must be an object, { ... }, not a text"},
      {"{\"listeners\": [\n{\"accept\": \"direct\"}]}", "f:2:1: /listeners/0: \"address\" is missing"},
      {"{\"gateway\": {\"address\": \"10.0.0.1\"}}",
       "f:1:25: /gateway/address: \"10.0.0.1\" has no port: write \"192.0.2.1:25\""},
      {"{\"gateway\": {\"present\": \"proxyv1\"}}",
       "f:1:25: /gateway/present: \"proxyv1\" is none of sender, proxy, proxy-v1, proxy-v2"},
      {"{\"gateway\": {\"present\": true}}",
       "f:1:25: /gateway/present: must be one of \"sender\", \"proxy\", \"proxy-v1\", \"proxy-v2\", not true"},
      {"{\"store\": {\"path\": \"\"}}", "f:1:20: /store/path: must be a text that is not empty, not \"\""},
      {"{\"store\": {\"max_size\": 10}}",
       "f:1:24: /store/max_size: must be a text like \"64KiB\", \"1MiB\" or \"10GiB\", or \"unlimited\", not 10"},
      {"{\"store\": {\"injection_log\": \"yes\"}}", "f:1:29: /store/injection_log: must be true or false, not \"yes\""},
      {"{\"capture\": {\"sessions\": 0}}",
       "f:1:26: /capture/sessions: must be a whole number from 1, or \"unlimited\", not 0"},
      {"{\"capture\": {\"for\": \"0m\"}}", "f:1:21: /capture/for: \"0m\" is no limit: write \"unlimited\" for none"},
      {"{\"capture\": {\"senders\": [\"any\",\n \"10.2.300\"]}}",
       "f:2:2: /capture/senders/1: \"10.2.300\" is no IPv4 address, nor the beginning of one"},
      {"{\"capture\": {\"exclude\": [1]}}", "f:1:26: /capture/exclude/0: must be a text, not 1"},
      {"{\"capture\": {\"senders\": 5}}",
       "f:1:25: /capture/senders: must be a list of senders like [\"203.0.113.0/24\", \"10.2.3\"], or \"any\", not 5"},
      {"{\"listeners\": [{\"address\": \"1.2.3.4:5\", \"trusted\": [\"mx:a.example\"]}]}",
       "f:1:53: /listeners/0/trusted/0: \"mx:a.example\" is a name: only addresses, networks and ranges can stand "
       "here"},
      {"{\"listeners\": [{\"address\": \"1.2.3.4:5\", \"trusted\": \"any\"}]}",
       "f:1:52: /listeners/0/trusted: \"any\" would let everybody say who they are: name the load balancers' "
       "addresses"},
      {"{\"a\\u001bb\": 1}",
       "f:1:2: /a\\x1Bb: unknown key; known here are \"listeners\", \"gateway\", \"capture\", \"divert\", "
       "\"starttls\", \"store\", "
       "\"control\", \"dns\", \"log\", \"workers\", \"drain\", \"upgrade_drain\", \"user\""},
  };
  for (const Row& row : rows) CHECK(error_of(row.text) == row.error);
}

TEST_CASE("all mistakes are told, in the order of the file, up to twenty") {
  CHECK(error_of("{\"workers\": 0,\n \"x\": 1,\n \"drain\": 1, \"workers\": 3}") ==
        "f:1:13: /workers: must be a whole number from 1 to 64, not 0\n"
        "f:2:2: /x: unknown key; known here are \"listeners\", \"gateway\", \"capture\", \"divert\", \"starttls\", "
        "\"store\", "
        "\"control\", \"dns\", "
        "\"log\", \"workers\", \"drain\", \"upgrade_drain\", \"user\"\n"
        "f:3:11: /drain: must be a text like \"10s\" or \"2m\", not 1\n"
        "f:3:14: /workers: this key stands here twice; the first is in line 1");
  std::string many = "{\"capture\": {\"senders\": [1";
  for (int i = 1; i < 30; ++i) many += ", 1";
  const std::string message = error_of(many + "]}}");
  CHECK(std::count(message.begin(), message.end(), '\n') == 20);
  CHECK(message.ends_with("\nf: and 10 more"));
}

TEST_CASE("a file that cannot be read says why") {
  CHECK(load_settings_file("/nonexistent/f").error() == "/nonexistent/f: cannot be read: No such file or directory");
  CHECK(load_settings_file("/").error() == "/: cannot be read: Is a directory");
}

TEST_CASE("what contradicts or is missing") {
  CHECK(contradictions(Settings()).size() == 2);
  CHECK(contradictions(Settings())[1].pointer == "/gateway/address");
  const auto issue = [&](const std::string& listeners, const std::string& gateway) {
    const auto issues =
        contradictions(load("{\"listeners\": [" + listeners + "], \"gateway\": {\"address\": \"" + gateway + "\"}}"));
    return issues.empty() ? std::string("none") : issues[0].pointer + ": " + issues[0].message;
  };
  CHECK(issue(R"({"address": "0.0.0.0:25"})", "10.0.0.1:25") == "none");
  CHECK(issue(R"({"address": "127.0.0.1:25"})", "127.0.0.1:2525") == "none");
  CHECK(issue(R"({"address": "127.0.0.1:25"})", "127.0.0.1:25") ==
        "/gateway/address: is the listener 127.0.0.1:25 itself: mail would go round in a circle");
  CHECK(issue(R"({"address": "0.0.0.0:25"})", "127.0.0.2:25").find("circle") != std::string::npos);
  CHECK(issue(R"({"address": "[::]:25"})", "[::1]:25").find("circle") != std::string::npos);
  CHECK(issue(R"({"address": "10.0.0.1:25", "accept": "tproxy"})", "10.0.0.1:25") == "none");
  CHECK(contradictions(load(R"({"listeners": [{"address": "[::]:10025", "accept": "tproxy"}]})")).empty());
  CHECK(
      contradictions(load(R"({"listeners": [{"address": "[::]:10025", "accept": "tproxy"}, {"address": "[::]:25"}]})"))
          .at(0)
          .pointer == "/gateway/address");
  CHECK(issue(R"({"address": "1.2.3.4:25"}, {"address": "1.2.3.4:25"})", "10.0.0.1:25") ==
        "/listeners/1/address: the same address as /listeners/0");
  CHECK(issue(R"({"address": "1.2.3.4:25", "trusted": ["10."]})", "10.0.0.1:25") ==
        "/listeners/0/trusted: is only for \"accept\": \"proxy-protocol\"");
  CHECK(issue(R"({"address": "1.2.3.4:25", "accept": "proxy-protocol", "trusted": ["10."]})", "10.0.0.1:25") == "none");
  CHECK(issue(R"({"address": "1.2.3.4:25", "accept": "proxy-protocol"})", "10.0.0.1:25")
            .starts_with("/listeners/0/accept: \"proxy-protocol\" needs \"trusted\""));
  for (const char* limit : {"0s", "2m"})
    CHECK(issue(std::string(R"({"address": "1.2.3.4:25", "header_timeout": ")") + limit + "\"}", "10.0.0.1:25") ==
          "/listeners/0/header_timeout: must be from \"1ms\" to \"1m\"");
}

TEST_CASE("a control address that others reach needs a token") {
  const auto issues = [](const std::string& control) {
    return contradictions(
        load(R"({"listeners": [{"address": "1.2.3.4:25"}], "gateway": {"address": "10.0.0.1:25"}, "control": )" +
             control + "}"));
  };
  CHECK(issues(R"({"listen": "127.0.0.1:8025"})").empty());
  CHECK(issues(R"({"listen": "[::1]:8025"})").empty());
  CHECK(issues(R"({"listen": "0.0.0.0:8025", "token_file": "/etc/token"})").empty());
  for (const char* open : {R"({"listen": "0.0.0.0:8025"})", R"({"listen": "[2001:db8::1]:8025"})"}) {
    REQUIRE(issues(open).size() == 1);
    CHECK(issues(open)[0].pointer == "/control/listen");
  }
}

TEST_CASE("what this version cannot do is said, and names that match nothing") {
  CHECK(unavailable(Settings()).empty());
  std::vector<std::string> pointers;
  for (const auto& issue : unavailable(load(kEverything))) {
    pointers.push_back(issue.pointer);
    CHECK(issue.message.ends_with("is not available in this version yet"));
  }
  CHECK(pointers == std::vector<std::string>{"/starttls/mode", "/store/injection_log"});
  CHECK(unavailable(load(R"({"gateway": {"present": "sender"}, "starttls": {"mode": "pass"}})")).empty());
  CHECK(undivertable_senders(load(R"({"capture": {"senders": [".a.example"]}})")).empty());
  const auto diverted = undivertable_senders(load(R"({"listeners": [{"address": "[::]:10025", "accept": "tproxy"}],
    "capture": {"senders": ["mx:a.example", ".a.example"], "exclude": [".b.example"]}})"));
  REQUIRE(diverted.size() == 2);
  CHECK(diverted[0].pointer == "/capture/senders/1");
  CHECK(diverted[0].message.find("`divert on` leaves it out") != std::string::npos);
  CHECK(diverted[1].pointer == "/capture/exclude/0");
  CHECK(diverted[1].message.ends_with("but not recorded"));
}

TEST_CASE("who excludes everyone records nobody, and is told") {
  const auto issues = [](const std::string& exclude) {
    return contradictions(load(R"({"listeners": [{"address": "1.2.3.4:25"}], "gateway": {"address": "10.0.0.1:25"},
      "capture": {"exclude": )" +
                               exclude + "}}"));
  };
  CHECK(issues(R"(["203.0.113.1"])").empty());
  for (const char* all : {R"(["203.0.113.1", "any"])", R"("any")"}) {
    REQUIRE(issues(all).size() == 1);
    CHECK(issues(all)[0].message.find("nobody would ever be recorded") != std::string::npos);
  }
}

TEST_CASE("a network with bits of a host in it is doubtful: it says what it is taken for") {
  const auto said = doubtful(load(R"({"listeners": [{"address": "1.2.3.4:25", "trusted": ["10.0.0.5/8"]}],
    "capture": {"senders": ["203.0.113.9/24", "203.0.113.0/24", "10.2/16", "2001:db8::9/32", "192.0.2.1/32", "10.2.3"],
                "exclude": ["203.0.113.77/25"]}, "divert": {"destinations": ["192.0.2.25/24"]}})"));
  std::vector<std::string> pointers;
  for (const auto& issue : said) pointers.push_back(issue.pointer);
  CHECK(pointers == std::vector<std::string>{"/capture/senders/0", "/capture/senders/3", "/capture/exclude/0",
                                             "/divert/destinations/0", "/listeners/0/trusted/0"});
  REQUIRE(said.size() == 5);
  CHECK(said[0].message ==
        "\"203.0.113.9/24\" names a host and the length of a network: taken as the network 203.0.113.0/24; if the one "
        "host "
        "is meant, write \"203.0.113.9\"");
  CHECK(said[1].message.find("taken as the network 2001:db8::/32") != std::string::npos);
}

TEST_CASE("a message about loaded settings finds its place in the file") {
  const std::string text = "{\"listeners\": [\n  {\"address\": \"1.2.3.4:5\",\n   \"accept\": \"tproxy\"}]}";
  CHECK(locate_message(text, "f", "/listeners/0/accept", "no") == "f:3:14: /listeners/0/accept: no");
  CHECK(locate_message(text, "f", "/listeners/0/trusted", "no") == "f:2:3: /listeners/0/trusted: no");
  CHECK(locate_message(text, "f", "/gateway/address", "no") == "f:1:1: /gateway/address: no");
}

TEST_CASE("the sample configuration is right") {
  const Settings settings = load(file("deploy/smtpscope.jsonc"));
  CHECK(contradictions(settings).empty());
  CHECK(unavailable(settings).empty());
  CHECK(undivertable_senders(settings).empty());
  CHECK(doubtful(settings).empty());
  CHECK(settings.capture.sessions == 50);
}

TEST_CASE("docs/CONFIGURATION.md is what the option table says") {
  // Stale: smtpscope config schema --markdown > docs/CONFIGURATION.md
  CHECK(file("docs/CONFIGURATION.md") == config_markdown());
}
