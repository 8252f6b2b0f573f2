// Where the configuration and the store are found, and what `config` ends with.
#include "proxy/commands/config_command.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "proxy/commands/locate.h"
#include "tests/catch.h"

using namespace smtpscope;
namespace fs = std::filesystem;

namespace {

/// An empty folder to be in, without SMTPSCOPE_CONFIG, for the length of a test.
class Place {
 public:
  Place() : before_(fs::current_path()) {
    std::string name = (fs::temp_directory_path() / "smtpscope-config-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    folder_ = name;
    fs::current_path(folder_);
    unsetenv("SMTPSCOPE_CONFIG");
  }
  ~Place() {
    unsetenv("SMTPSCOPE_CONFIG");
    fs::current_path(before_);
    fs::remove_all(folder_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }

 private:
  fs::path before_;
  fs::path folder_;
};

const std::string kRunnable =
    R"({"listeners": [{"address": "0.0.0.0:25"}], "gateway": {"address": "10.0.0.1:25"}, "store": {"path": "/srv/here"}})";

}  // namespace

TEST_CASE("the option goes before the environment, and that before the file at hand") {
  const Place place;
  place.write("smtpscope.jsonc", kRunnable);
  CHECK(find_config("") == "./smtpscope.jsonc");
  setenv("SMTPSCOPE_CONFIG", "/from/environment", 1);
  CHECK(find_config("") == "/from/environment");
  CHECK(find_config("/from/option") == "/from/option");
  setenv("SMTPSCOPE_CONFIG", "", 1);
  CHECK(find_config("") == "./smtpscope.jsonc");
}

TEST_CASE("the store is the option's, or the configuration's; a faulty configuration is an error") {
  const Place place;
  place.write("good", kRunnable);
  place.write("bad", "{\"store\": 5}");
  CHECK(*find_store("", "/srv/option") == "/srv/option");
  CHECK(*find_store("bad", "/srv/option") == "/srv/option");
  CHECK(*find_store("good", "") == "/srv/here");
  REQUIRE_FALSE(find_store("bad", ""));
  CHECK(find_store("bad", "").error() == "bad:1:11: /store: must be an object, { ... }, not a number");
  CHECK_FALSE(find_store("not-there", ""));
}

TEST_CASE("config check ends with 78 whatever the fault is, and with 0 for a warning") {
  const Place place;
  place.write("good", kRunnable);
  place.write("named", "{\"capture\": {\"senders\": \"spf:a.example\"}, " + kRunnable.substr(1));
  place.write("syntax", "{");
  place.write("unknown", "{\"sesions\": 5}");
  place.write("empty", "{}");
  place.write("later", "{\"starttls\": {\"mode\": \"hide\"}, " + kRunnable.substr(1));
  CHECK(config_check("good") == ExitCode::ok);
  CHECK(config_check("named") == ExitCode::ok);
  for (const auto* name : {"syntax", "unknown", "empty", "later", "not-there"}) {
    INFO(name);
    CHECK(config_check(name) == ExitCode::config);
  }
  CHECK(config_show("good", true) == ExitCode::ok);
  CHECK(config_show("syntax", false) == ExitCode::ok);
  CHECK(config_show("syntax", true) == ExitCode::config);
}
