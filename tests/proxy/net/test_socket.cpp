// Whether a port is free, though every listening socket of ours shares its port.
#include "proxy/net/socket.h"

#include <cerrno>

#include "tests/catch.h"

using namespace smtpscope;

TEST_CASE("a port is taken while anybody listens on it, also one who shares it, and free again afterwards") {
  for (const char* host : {"127.0.0.1", "::1"}) {
    const auto any = make_address(host, 0);
    REQUIRE(any);
    Fd first(listen_on(*any));
    REQUIRE(first.get() >= 0);
    const Address address = local_address(first.get());
    const Fd second(listen_on(address));
    CHECK(second.get() >= 0);  // as the workers of one proxy do
    CHECK(port_taken(address) == EADDRINUSE);
  }
  const auto any = make_address("127.0.0.1", 0);
  Address address;
  {
    const Fd listener(listen_on(*any));
    address = local_address(listener.get());
    const Fd sender(connect_to(address, nullptr));
  }
  CHECK(port_taken(address) == 0);
}
