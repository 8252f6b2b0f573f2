// Messages to the watchdog, from whoever could send one: any bytes are read within bounds, only whole lines count, and
// no process is named but by a number that can be one.
#include <cstdint>
#include <string_view>

#include "proxy/service/watchdog.h"
#include "tests/fuzz/demand.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace smtpscope;
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  const ServiceNews news = parse_news(message);
  demand(news.main >= 0);
  demand(!news.ready || message.find("READY=1") != message.npos);
  demand(!news.alive || message.find("WATCHDOG=1") != message.npos);
  demand(!news.stopping || message.find("STOPPING=1") != message.npos);
  demand(news.main == 0 || message.find("MAINPID=") != message.npos);
  return 0;
}
