// A store in a temporary directory, taken away at the end, and files in it.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/catch.h"

namespace smtpscope {

struct TempStore {
  TempStore() {
    std::string name = (std::filesystem::temp_directory_path() / "smtpscope-store.XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~TempStore() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TempStore(const TempStore&) = delete;
  TempStore& operator=(const TempStore&) = delete;

  std::string file(const std::string& relative) const { return path + '/' + relative; }
  void write(const std::string& relative, const std::string& bytes, bool append = false) const {
    std::filesystem::create_directories(std::filesystem::path(file(relative)).parent_path());
    std::ofstream out(file(relative), append ? std::ios::app | std::ios::binary : std::ios::trunc | std::ios::binary);
    out << bytes;
    REQUIRE(out.flush().good());
  }
  std::string read(const std::string& relative) const {
    std::ifstream in(file(relative), std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }

  std::string path;
};

/// A transcript's line as short as it may be, with its end.
inline std::string transcript_line(const std::string& id, const std::string& ip, const std::string& started,
                                   const std::string& verdict = "delivered", const std::string& breakdown = "null") {
  return R"({"schema":"smtpscope.transcript/1","id":")" + id + R"(","icid":7,"sender":{"ip":")" + ip +
         R"(","port":4,"ptr":null},"started":")" + started + R"(","verdict":")" + verdict +
         R"(","summary":"so \"it\" went","breakdown":)" + breakdown + R"(,"events":[{"id":"x","n":0}]})" + "\n";
}

}  // namespace smtpscope
