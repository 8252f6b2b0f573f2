// Any bytes as the beginning of a load balancer's stream: no crash, and the answer depends on the header alone.
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/net/proxy_protocol.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;
using State = ProxyHeader::State;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ProxyHeader header = parse_proxy_header(bytes);
  if (header.state != State::complete) {
    demand((header.state == State::malformed) == !header.problem.empty());
    demand(header.state == State::malformed || size < 16 + kMaxProxyV2Body);
    return 0;
  }
  demand(header.size > 0 && header.size <= size && header.size <= 16 + kMaxProxyV2Body);
  demand(parse_proxy_header(bytes.substr(0, header.size)).size == header.size);
  demand(parse_proxy_header(bytes.substr(0, header.size - 1)).state == State::incomplete);
  demand(parse_proxy_header(bytes.substr(0, header.size / 2)).state == State::incomplete);
  if (!header.names_ends) return 0;
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2}) {
    const ProxyHeader again = parse_proxy_header(encode_proxy_header(version, header.source, header.destination));
    demand(again.names_ends && again.source == header.source && again.destination == header.destination);
  }
  return 0;
}
