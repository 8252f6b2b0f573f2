// What may be asked for with POST /windows, and how the rest is refused.
#include "proxy/windows/window_request.h"

#include "tests/catch.h"

using namespace smtpscope;

TEST_CASE("a window is asked for in the keys of the configuration") {
  const auto r = read_window_request(R"({"senders": ["203.0.113.0/24", "mx.partner.example"], "exclude": "203.0.113.9",
                                         "sessions": 20, "for": "2h", "reason": "why"})");
  REQUIRE(r);
  CHECK(r->senders == std::vector<std::string>{"203.0.113.0/24", "mx.partner.example"});
  CHECK(r->exclude == std::vector<std::string>{"203.0.113.9"});
  CHECK(r->sessions == 20);
  CHECK(r->for_ms == 2 * 3600 * 1000);
  CHECK(r->reason == "why");
  CHECK(*read_window_request(window_request_json(*r)) == *r);
}

TEST_CASE("half an hour, unless something else is said") {
  CHECK(read_window_request(R"({"senders": "any"})")->for_ms == kWindowMs);
  const auto unlimited = read_window_request(R"({"senders": "any", "for": "unlimited", "sessions": "unlimited"})");
  CHECK(unlimited->for_ms == 0);
  CHECK(unlimited->sessions == 0);
  CHECK(read_window_request(window_request_json(*unlimited))->for_ms == 0);
}

TEST_CASE("what is wrong is named with its place") {
  const auto error = [](const std::string& text) {
    const auto r = read_window_request(text);
    return r ? "none" : r.error();
  };
  CHECK(error("") == "1:1: the file is empty: it must hold one object, { ... }");
  CHECK(error("[]") == "1:1: must be an object, { ... }");
  CHECK(error(R"({"senders": []})").find("nobody is named") != std::string::npos);
  CHECK(error(R"({"senders": ["10.2.300"]})").find("senders: ") != std::string::npos);
  CHECK(error(R"({"senders": ["any"], "exclude": ["10.2.300"]})").find("exclude: ") != std::string::npos);
  CHECK(error("{\"senders\": [\"any\"],\n \"sesions\": 1}").starts_with("2:2: /sesions: unknown key"));
  CHECK(error(R"({"senders": ["any"], "senders": ["any"]})").find("senders") != std::string::npos);
  for (const char* bad :
       {R"("sessions": 0)", R"("sessions": -1)", R"("sessions": "many")", R"("for": 30)", R"("for": "0s")",
        R"("for": "soon")", R"("reason": 1)", R"("exclude": {})", R"("senders": [1])"}) {
    INFO(bad);
    CHECK(error("{\"senders\": \"any\", " + std::string(bad) + "}") != "none");
  }
  WindowRequest many;
  many.senders.assign(kMostWindowEntries + 1, "10.0.0.1");
  CHECK(fault_of(many));
  many.senders.resize(kMostWindowEntries);
  CHECK_FALSE(fault_of(many));
  many.reason.assign(kMostReasonBytes + 1, 'x');
  CHECK(fault_of(many));
}
