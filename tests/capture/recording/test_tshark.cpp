// A recording is what other tools say it is: tshark gives back each session's exact bytes and finds every checksum
// right, capinfos reads the file. Skipped where they are not installed (deploy/install-deps.sh installs them).
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/capture/recording/random_recording.h"
#include "tests/catch.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

std::string run(const std::string& command) {
  std::string output;
  FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[65536];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
  pclose(pipe);
  return output;
}

struct TempFile {
  TempFile() { ::close(mkstemp(path.data())); }
  ~TempFile() { unlink(path.c_str()); }
  std::string path = "/tmp/smtpscope-test-XXXXXX";
};

std::string unhex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return bytes;
}

/// Bytes of both sides, as `follow,tcp,raw` prints them: the second node's lines are indented by a tab.
std::array<std::string, 2> follow(const std::string& path, size_t stream) {
  const std::string output = run("tshark -r " + path + " -q -z follow,tcp,raw," + std::to_string(stream));
  std::array<std::string, 2> sides;
  const size_t head = output.find("Node 1:");
  REQUIRE(head != std::string::npos);
  for (size_t at = output.find('\n', head) + 1; at < output.size() && output[at] != '=';) {
    const size_t end = std::min(output.find('\n', at), output.size());
    const bool indented = output[at] == '\t';
    sides[indented ? 1 : 0] += unhex(std::string_view(output).substr(at + indented, end - at - indented));
    at = end + 1;
  }
  return sides;
}

}  // namespace

TEST_CASE("tshark and capinfos read a recording") {
  if (std::system("command -v tshark >/dev/null && command -v capinfos >/dev/null") != 0) {
    WARN("tshark or capinfos is not installed: skipped");
    return;
  }
  Random random(4);
  std::string file;
  const auto sessions = write_random(random, file, 6, 0, false);
  const TempFile temp;
  std::ofstream(temp.path, std::ios::binary) << file;

  const std::string infos = run("capinfos -E -c " + temp.path);
  CHECK(infos.find("Raw IP") != std::string::npos);
  const std::string checked =
      run("tshark -r " + temp.path + " -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -T fields -E separator=, " +
          "-e tcp.stream -e ip.checksum.status -e tcp.checksum.status -e tcp.srcport -e _ws.malformed");
  std::map<std::string, size_t> stream_of;  // by the sender's port: the first packet of a stream is the sender's
  size_t packets = 0;
  for (size_t at = 0; at < checked.size(); ++packets) {
    const size_t end = checked.find('\n', at);
    std::vector<std::string> field(1);
    for (char c : checked.substr(at, end - at)) {
      if (c == ',')
        field.emplace_back();
      else
        field.back() += c;
    }
    REQUIRE(field.size() == 5);
    CHECK((field[1] == "1" || field[1].empty()));  // good; IPv6 has none
    CHECK(field[2] == "1");
    CHECK(field[4].empty());
    stream_of.try_emplace(field[3], std::stoul(field[0]));
    at = end + 1;
  }
  CHECK(packets > sessions.size() * 5);
  for (const RandomSession& session : sessions) {
    const auto sides = follow(temp.path, stream_of.at(std::to_string(session.facts().sender.port)));
    CHECK((sides[0] == session.bytes(From::sender)));
    CHECK((sides[1] == session.bytes(From::gateway)));
  }
}
