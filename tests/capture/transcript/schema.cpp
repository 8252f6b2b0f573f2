#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 sees an overlap that is not there, inside valijson, and with a sanitizer uninitialised memory in <regex>.
#pragma GCC diagnostic ignored "-Wrestrict"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "tests/capture/transcript/schema.h"

#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "tests/catch.h"

namespace smtpscope::test {

using nlohmann::json;

namespace {

/// The schema, parsed once for each file.
struct Schema {
  explicit Schema(const std::string& file_name) {
    std::ifstream file(SMTPSCOPE_SOURCE_DIR "/docs/" + file_name);
    text = json::parse(file);
    valijson::SchemaParser parser;
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(text), schema);
  }
  json text;
  valijson::Schema schema;
};

}  // namespace

void require_valid(const std::string& line, const std::string& schema_file) {
  static std::map<std::string, std::unique_ptr<Schema>> schemas;
  std::unique_ptr<Schema>& known = schemas[schema_file];
  if (!known) known = std::make_unique<Schema>(schema_file);
  const json value = json::parse(line);
  valijson::ValidationResults results;
  valijson::Validator validator;
  const valijson::adapters::NlohmannJsonAdapter target(value);
  const bool valid = validator.validate(known->schema, target, &results);
  std::string problems;
  for (valijson::ValidationResults::Error error; results.popError(error);) {
    for (const std::string& step : error.context) problems += step;
    problems += ": " + error.description + '\n';
  }
  INFO(problems);
  REQUIRE(valid);
}

void require_valid(const std::string& line) { require_valid(line, "transcript.schema.json"); }

}  // namespace smtpscope::test
