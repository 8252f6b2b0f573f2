// What the control address answers, to whom, and that its metrics say what was counted.
#include "proxy/control/control.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "proxy/control/metrics.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

const std::string kToken = "0123456789abcdef";

/// What was called, besides reading.
std::string called;

HttpResponse ask(const std::string& method, const std::string& path, const std::string& authorization = "",
                 bool accepts = true, const ControlAccess& access = {false, kToken}, const std::string& trouble = {}) {
  called.clear();
  const ControlCalls calls{[] { return std::string("counts\n"); }, [] { return json_response(200, "[]"); },
                           [](const std::string& body) {
                             called = "open " + body;
                             return json_response(201, "{}");
                           },
                           [](const std::string& id) {
                             called = "close " + id;
                             return json_response(200, "{}");
                           },
                           [] {
                             called = "reload";
                             return json_response(200, "{}");
                           }};
  return control_response({method, path, authorization, "body"}, access, {accepts, trouble}, calls);
}

}  // namespace

TEST_CASE("alive, ready and counted; all else is not there") {
  CHECK(ask("GET", "/livez").status == 200);
  CHECK(ask("GET", "/livez", "", false).status == 200);
  CHECK(ask("GET", "/readyz").status == 200);
  CHECK(ask("HEAD", "/readyz", "", false).status == 503);
  CHECK(ask("GET", "/metrics").body == "counts\n");
  CHECK(ask("GET", "/metrics").type.find("version=0.0.4") != std::string::npos);
  for (const char* path : {"/", "/livez/", "/Metrics", "/../livez"}) CHECK(ask("GET", path).status == 404);
}

TEST_CASE("a process in which a loop hangs is neither alive nor ready, and says what hangs; it still counts") {
  const auto hung = [](const char* path) { return ask("GET", path, "", true, {}, "worker 1 hangs"); };
  for (const char* path : {"/livez", "/readyz"}) {
    CHECK(hung(path).status == 503);
    CHECK(hung(path).body == "worker 1 hangs\n");
  }
  CHECK(hung("/metrics").status == 200);
}

TEST_CASE("what would change something needs the token, and nobody has one where none is set") {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH"})
    for (const char* path : {"/livez", "/windows", "/windows/1", "/reload", "/nowhere"}) {
      CHECK(ask(method, path).status == 401);
      CHECK(ask(method, path).challenge.starts_with("Bearer"));
      for (const std::string& wrong : {"Bearer " + kToken + "0", std::string("Bearer 0123456789abcdeF"),
                                       std::string("Bearer "), kToken, "Basic " + kToken})
        CHECK(ask(method, path, wrong).status == 401);
      CHECK(ask(method, path, "Bearer ", true, {}).status == 401);
      CHECK(called.empty());
    }
  CHECK(ask("POST", "/livez", "Bearer " + kToken).status == 405);
}

TEST_CASE("windows are opened and closed, the configuration loaded, by whoever may") {
  const std::string bearer = "Bearer " + kToken;
  const ControlAccess trusted{true, {}};
  for (const auto& [authorization, access] :
       {std::pair(bearer, ControlAccess{false, kToken}), std::pair(std::string(), trusted)}) {
    CHECK(ask("POST", "/windows", authorization, true, access).status == 201);
    CHECK(called == "open body");
    CHECK(ask("DELETE", "/windows/17", authorization, true, access).status == 200);
    CHECK(called == "close 17");
    CHECK(ask("POST", "/reload", authorization, true, access).status == 200);
    CHECK(called == "reload");
  }
  CHECK(ask("GET", "/windows").body == "[]\n");
  CHECK(ask("GET", "/windows").type == "application/json");
  CHECK(ask("GET", "/reload").status == 405);
  CHECK(ask("GET", "/windows/17").allow == "DELETE");
  CHECK(ask("DELETE", "/windows", bearer).allow == "GET, POST");
  CHECK(ask("DELETE", "/windows/", bearer).status == 404);
  CHECK(called.empty());
  CHECK(error_response(422, "a \"quoted\"\n\xff").body == "{\"error\":\"a \\\"quoted\\\"\\n\xEF\xBF\xBD\"}\n");
}

TEST_CASE("a token file holds one line of sixteen visible characters or more") {
  std::string name = (std::filesystem::temp_directory_path() / "smtpscope-token.XXXXXX").string();
  REQUIRE(mkstemp(name.data()) >= 0);
  const auto read = [&](const std::string& text) {
    std::ofstream(name, std::ios::binary | std::ios::trunc) << text;
    return read_token(name);
  };
  CHECK(*read(kToken) == kToken);
  CHECK(*read(kToken + "\r\nmore\n") == kToken);
  for (const std::string& bad : {std::string(), std::string("short\n"), "\n" + kToken, "two words " + kToken})
    CHECK_FALSE(read(bad));
  std::filesystem::remove(name);
  CHECK(read_token(name).error().find("No such file") != std::string::npos);
}

TEST_CASE("metrics say what was counted") {
  RelayMetrics relay;
  HeaderRefusals refusals;
  relay.sessions_begun = 7;
  relay.sessions_ended = 5;
  relay.sender_bytes = 1000;
  RelayMetrics::add(relay.verdicts[static_cast<size_t>(Verdict::breakdown)], 3);
  RelayMetrics::add(relay.breakdowns[static_cast<size_t>(Phase::end_of_data)][static_cast<size_t>(Party::policy)], 2);
  refusals.refuse(HeaderRefusals::Why::late, "192.0.2.1", "late", 1);
  const std::string text = metrics_text({relay, refusals, {10, 20}, "1.2.3", {{"config", 4}, {"7", 0}}, {{"time", 2}}});
  for (const char* line :
       {"smtpscope_build_info{version=\"1.2.3\"} 1\n", "smtpscope_sessions_total 7\n", "smtpscope_sessions_open 2\n",
        "smtpscope_relayed_bytes_total{from=\"sender\"} 1000\n", "smtpscope_verdicts_total{verdict=\"breakdown\"} 3\n",
        "smtpscope_breakdowns_total{phase=\"end-of-data\",party=\"policy\"} 2\n",
        "smtpscope_recorder_queue_bytes{recorder=\"1\"} 20\n",
        "smtpscope_proxy_header_refusals_total{reason=\"late\"} 1\n", "# TYPE smtpscope_sessions_open gauge\n",
        "smtpscope_windows_open 2\n", "smtpscope_window_sessions{window=\"config\"} 4\n",
        "smtpscope_windows_ended_total{by=\"time\"} 2\n"}) {
    INFO(line);
    CHECK(text.find(line) != std::string::npos);
  }
}
