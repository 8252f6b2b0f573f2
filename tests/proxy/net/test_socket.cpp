// Whether a port is free, though every listening socket of ours shares its port.
#include "proxy/net/socket.h"

#include <cerrno>

#include "tests/catch.h"

using namespace smtpscope;

TEST_CASE("an address of this host is told from others") {
  for (const char* own : {"127.0.0.1", "127.9.9.9", "::1"}) CHECK(is_local(*make_address(own, 25)));
  for (const char* other : {"192.0.2.1", "2001:db8::1"}) CHECK_FALSE(is_local(*make_address(other, 25)));
}

TEST_CASE("a transparent listener takes an address that is not of this host, where that is allowed") {
  for (const char* host : {"192.0.2.1", "2001:db8::1"}) {
    const Fd refused(listen_on(*make_address(host, 0)));
    CHECK_FALSE(refused);
    const int fd = listen_on(*make_address(host, 0), true);
    if (fd == -EPERM) continue;  // no CAP_NET_ADMIN
    const Fd listener(fd);
    REQUIRE(listener);
    CHECK(endpoint_of(local_address(fd)).ip == host);
  }
}

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
