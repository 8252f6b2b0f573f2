// The JSON Schema, put to work by a validator from elsewhere: it accepts what the loader accepts.
#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 sees an overlap that is not there, inside valijson, and with a sanitizer uninitialised memory in <regex>.
#pragma GCC diagnostic ignored "-Wrestrict"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "config/loader.h"
#include "config/options.h"
#include "config/reference.h"
#include "tests/catch.h"

using namespace smtpscope;
using nlohmann::json;

namespace {

bool valid(const json& document) {
  static const json schema_json = json::parse(config_schema_json());
  valijson::Schema schema;
  valijson::SchemaParser parser;
  valijson::adapters::NlohmannJsonAdapter schema_adapter(schema_json);
  parser.populateSchema(schema_adapter, schema);
  valijson::Validator validator;
  valijson::adapters::NlohmannJsonAdapter adapter(document);
  return validator.validate(schema, adapter, nullptr);
}

}  // namespace

TEST_CASE("the schema accepts the effective settings and the sample") {
  CHECK(valid(json::parse(effective_json(Settings()))));
  const auto sample = load_settings_file(std::string(SMTPSCOPE_SOURCE_DIR) + "/deploy/smtpscope.jsonc");
  REQUIRE(sample);
  CHECK(valid(json::parse(effective_json(*sample))));
  CHECK(valid(json::parse(R"({"capture": {"senders": "any", "sessions": 5}, "drain": "10s"})")));
}

TEST_CASE("the schema and the loader refuse the same mistakes") {
  for (const auto* text :
       {R"({"sesions": 5})", R"({"workers": 0})", R"({"workers": 65})", R"({"workers": "1"})", R"({"drain": "10"})",
        R"({"drain": "unlimited"})", R"({"capture": {"sessions": 0}})", R"({"capture": {"sessions": "many"}})",
        R"({"capture": {"body": "all"}})", R"({"capture": {"body_limit": "1M"}})", R"({"capture": {"for": 30}})",
        R"({"capture": {"senders": [5]}})", R"({"gateway": {"address": "10.0.0.1"}})", R"({"listeners": [{}]})",
        R"({"listeners": {}})", R"({"store": {"injection_log": 1}})", R"({"store": {"path": ""}})", R"([])"}) {
    INFO(text);
    CHECK_FALSE(valid(json::parse(text)));
    CHECK_FALSE(load_settings_text(text, "f"));
  }
}

TEST_CASE("every option is in the schema, with its help and its default") {
  const json schema = json::parse(config_schema_json());
  for (const Option& option : options()) {
    json place = schema;
    std::string_view rest = option.pointer;
    while (!rest.empty()) {
      rest.remove_prefix(1);
      const std::string step(rest.substr(0, rest.find('/')));
      rest.remove_prefix(step.size());
      place = step == "*" ? place.at("items") : place.at("properties").at(step);
    }
    INFO(option.pointer);
    CHECK(place.at("description").get<std::string>().starts_with(option.help));
    CHECK(std::string(option.help).ends_with("."));
  }
  CHECK(schema.at("properties").at("capture").at("properties").at("body_limit").at("default") == "1MiB");
}
