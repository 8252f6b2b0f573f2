// An upgrade starts a new process, which has copies of all sockets until it is executed: the kernel goes on telling of
// those that the relay has closed meanwhile.
#include <sys/wait.h>

#include <csignal>

#include "tests/catch.h"
#include "tests/proxy/relay/relay_under_test.h"

using namespace smtpscope::test;

TEST_CASE("a session whose sockets another process has copies of ends as any other") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  sender.send("QUIT\r\n");
  REQUIRE(receiver.receive(6) == "QUIT\r\n");
  const pid_t copier = fork();
  if (copier == 0) {
    for (;;) pause();
  }
  REQUIRE(copier > 0);
  sender.fin();
  CHECK(receiver.receive_all().second == End::fin);
  receiver.fin();
  for (int i = 0; i < 200; ++i) {  // others come and go in their place meanwhile
    Peer next = relay.connect();
    Peer behind = gateway.accept();
    next.send("NOOP\r\n");
    REQUIRE(behind.receive(6) == "NOOP\r\n");
    next.fin();
    CHECK(behind.receive_all().second == End::fin);
    behind.fin();
    CHECK(next.receive_all().second == End::fin);
  }
  kill(copier, SIGKILL);
  waitpid(copier, nullptr, 0);
  CHECK(sender.receive_all().second == End::fin);  // close() of ours sends nothing while there is a copy
  relay.stop();
  CHECK(relay.transcripts().size() == 201);
}
