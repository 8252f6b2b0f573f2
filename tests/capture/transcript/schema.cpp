#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 sees an overlap that is not there, inside valijson, and with a sanitizer uninitialised memory in <regex>.
#pragma GCC diagnostic ignored "-Wrestrict"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "tests/capture/transcript/schema.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "tests/catch.h"

namespace smtpscope::test {

using nlohmann::json;

void require_valid(const std::string& line) {
  static const json schema_json = [] {
    std::ifstream file(SMTPSCOPE_SOURCE_DIR "/docs/transcript.schema.json");
    return json::parse(file);
  }();
  static const valijson::adapters::NlohmannJsonAdapter adapter(schema_json);
  static valijson::Schema schema;
  [[maybe_unused]] static const bool parsed = [] {
    valijson::SchemaParser parser;
    parser.populateSchema(adapter, schema);
    return true;
  }();
  const json value = json::parse(line);
  valijson::ValidationResults results;
  valijson::Validator validator;
  const valijson::adapters::NlohmannJsonAdapter target(value);
  const bool valid = validator.validate(schema, target, &results);
  std::string problems;
  for (valijson::ValidationResults::Error error; results.popError(error);) {
    for (const std::string& step : error.context) problems += step;
    problems += ": " + error.description + '\n';
  }
  INFO(problems);
  REQUIRE(valid);
}

}  // namespace smtpscope::test
