// Any bytes as the body of POST /windows: no crash; what is taken is right, and says the same when it is written again.
#include <cstdint>
#include <string_view>

#include "proxy/windows/window_request.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto request = read_window_request({reinterpret_cast<const char*>(data), size});
  if (!request) {
    demand(!request.error().empty());
    return 0;
  }
  demand(!fault_of(*request));
  const auto again = read_window_request(window_request_json(*request));
  demand(again && *again == *request);
  return 0;
}
