// Requests as programs send them and as they should not be: whole, byte by byte, and with bytes behind them.
#include "proxy/control/http_request.h"

#include <string>
#include <string_view>

#include "tests/catch.h"

using namespace smtpscope;
using State = HttpRequestReader::State;

namespace {

struct Case {
  std::string bytes;
  State state;
  std::string method{}, path{}, authorization{}, body{};
};

const std::string kBody(20000, 'b');
const std::string kLong(HttpRequestReader::kMaxHead, 'x');

const Case kCases[] = {
    {"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", State::complete, "GET", "/livez"},
    {"HEAD /metrics?a=b&c HTTP/1.0\r\n\r\n", State::complete, "HEAD", "/metrics"},
    {"\r\nGET / HTTP/1.1\r\nHost: x\r\nX-Empty:\r\n\r\n", State::complete, "GET", "/"},
    {"POST /x HTTP/1.1\r\nAuthorization: Bearer abc\r\nContent-Length: 0\r\n\r\n", State::complete, "POST", "/x",
     "Bearer abc"},
    {"GET /x HTTP/1.1\r\nAUTHORIZATION:   Bearer a \r\n\r\n", State::complete, "GET", "/x", "Bearer a"},
    {"GET /livez HTTP/1.1\r\n", State::incomplete},
    {"", State::incomplete},
    {"EHLO mx.sender.example\r\n", State::bad},
    {std::string("\x16\x03\x01\x00", 4), State::bad},
    {"GET /livez\r\n\r\n", State::bad},
    {"GET livez HTTP/1.1\r\n\r\n", State::bad},
    {"GET http://x/livez HTTP/1.1\r\nHost: x\r\n\r\n", State::bad},
    {"CONNECT x:25 HTTP/1.1\r\nHost: x\r\n\r\n", State::bad},
    {"GET /a\x01"
     "b HTTP/1.1\r\n\r\n",
     State::bad},
    {"GET /\xff HTTP/1.1\r\n\r\n", State::bad},
    {"GET /x HTTP/1.1\r\nBad header: x\r\n\r\n", State::bad},
    {"GET /x HTTP/1.1\r\nA: 1\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", State::bad},
    {"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\n{\r\n", State::complete, "POST", "/x", "", "{\r\n"},
    {"POST /x HTTP/1.1\r\nContent-Length: 20000\r\n\r\n" + kBody, State::complete, "POST", "/x", "", kBody},
    {"POST /x HTTP/1.1\r\nContent-Length: 20001\r\n\r\n" + kBody, State::incomplete},
    {"POST /x HTTP/1.1\r\nContent-Length: 131073\r\n\r\n", State::too_large},
    {"POST /x HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", State::bad},
    {"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", State::bad},
    {"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", State::bad},
    {"GET /x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", State::bad},
    {"GET /" + kLong + " HTTP/1.1\r\n\r\n", State::bad},
    {"GET / HTTP/1.1\r\nX: " + kLong + "\r\n\r\n", State::bad},
};

void check(const HttpRequestReader& reader, State state, const Case& expected) {
  INFO(expected.bytes.substr(0, 80));
  CHECK(state == expected.state);
  if (state != State::complete || state != expected.state) return;
  CHECK(reader.request().method == expected.method);
  CHECK(reader.request().path == expected.path);
  CHECK(reader.request().authorization == expected.authorization);
  CHECK(reader.request().body == expected.body);
}

}  // namespace

TEST_CASE("HTTP requests are read whole, byte by byte, and with bytes behind them") {
  for (const Case& each : kCases) {
    HttpRequestReader whole;
    check(whole, whole.feed(each.bytes), each);
    HttpRequestReader pieces;
    State state = State::incomplete;
    for (const char byte : each.bytes) state = pieces.feed({&byte, 1});
    check(pieces, state, each);
    if (each.state == State::incomplete) continue;
    HttpRequestReader followed;
    check(followed, followed.feed(each.bytes + "GET /other HTTP/1.1\r\n\r\n"), each);
    check(followed, followed.feed("more"), each);
  }
}
