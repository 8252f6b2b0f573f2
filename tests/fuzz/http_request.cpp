// Any bytes as an HTTP request: no crash, bounded, and the same answer however they are cut.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proxy/control/control.h"
#include "proxy/control/http_request.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  HttpRequestReader whole, cut;
  const auto state = whole.feed(bytes);
  auto pieces = HttpRequestReader::State::incomplete;
  for (size_t i = 0; i < bytes.size(); ++i) pieces = cut.feed(bytes.substr(i, 1));
  demand(pieces == state);
  if (state == HttpRequestReader::State::incomplete)
    demand(size <= HttpRequestReader::kMaxHead + HttpRequestReader::kMaxBody);
  if (state != HttpRequestReader::State::complete) return 0;
  demand(cut.request().method == whole.request().method && cut.request().path == whole.request().path &&
         cut.request().authorization == whole.request().authorization && cut.request().body == whole.request().body);
  demand(whole.request().body.size() <= HttpRequestReader::kMaxBody);
  demand(whole.request().path[0] == '/');
  const auto never = [](const std::string&) -> HttpResponse { std::abort(); };
  const ControlCalls calls{[] { return std::string(); }, [] { return json_response(200, "{}"); }, never, never,
                           []() -> HttpResponse { std::abort(); }};
  const int status = control_response(whole.request(), {}, {}, calls).status;  // without a token nothing changes
  demand(status == 200 || status == 401 || status == 404 || status == 405);
  return 0;
}
