// What list says of sessions that are not over.
#include "proxy/commands/in_progress.h"
#include "proxy/control/metrics.h"
#include "tests/catch.h"

using namespace smtpscope;

TEST_CASE("sessions in progress are told from the metrics, if there are any") {
  RelayMetrics relay;
  HeaderRefusals refusals;
  const auto told = [&] { return in_progress_text(metrics_text({relay, refusals, {}, "1", {}, {}})); };
  CHECK_FALSE(told());
  RelayMetrics::add(relay.captured_begun, 3);
  RelayMetrics::add(relay.verdicts[0]);
  CHECK(told() == "2 sessions in progress, of whatever sender; they are shown here when over");
  RelayMetrics::add(relay.verdicts[2]);
  CHECK(told() == "1 session in progress, of whatever sender; it is shown here when over");
  RelayMetrics::add(relay.verdicts[1], 2);  // read in between
  CHECK_FALSE(told());
  CHECK_FALSE(in_progress_text("<html>"));
}
