// The reader of JSON with comments: places, faults, limits; and that it accepts what a reader from elsewhere accepts.
#include <nlohmann/json.hpp>
#include <random>

#include "config/json_document.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

struct Row {
  std::string text;
  uint32_t line, column;
  std::string message;
};

void expect_fault(const Row& row) {
  const JsonDocument document = read_json(row.text);
  INFO(row.text.substr(0, 200));
  REQUIRE_FALSE(document.readable);
  REQUIRE(document.faults.size() == 1);
  const JsonFault& fault = document.faults[0];
  INFO(fault.message << " at " << fault.position.line << ":" << fault.position.column);
  CHECK(fault.position == Position{row.line, row.column});
  CHECK(fault.message.find(row.message) != std::string::npos);
}

nlohmann::json to_nlohmann(const JsonNode& node) {
  switch (node.kind) {
    case JsonNode::Kind::null:
      return nullptr;
    case JsonNode::Kind::boolean:
      return node.boolean;
    case JsonNode::Kind::integer:
      return node.integer;
    case JsonNode::Kind::number:
      return nlohmann::json::parse(node.text);
    case JsonNode::Kind::string:
      return node.text;
    case JsonNode::Kind::array: {
      auto out = nlohmann::json::array();
      for (const JsonNode& item : node.items) out.push_back(to_nlohmann(item));
      return out;
    }
    case JsonNode::Kind::object: {
      auto out = nlohmann::json::object();
      for (const JsonMember& member : node.members) out[member.key] = to_nlohmann(member.value);
      return out;
    }
  }
  return nullptr;
}

}  // namespace

TEST_CASE("every value knows its line and column, in characters") {
  const JsonDocument document =
      read_json("\xEF\xBB\xBF// head\r\n{\r\n  /* \xC3\xA9\n */ \"\xC3\xA9\": [1, \"x\"],\n\t\"b\": {}}\n");
  REQUIRE(document.readable);
  REQUIRE(document.root.members.size() == 2);
  CHECK(document.root.position == Position{2, 1});
  CHECK(document.root.members[0].position == Position{4, 5});
  CHECK(document.root.members[0].value.position == Position{4, 10});
  CHECK(document.root.members[0].value.items[1].position == Position{4, 14});
  CHECK(document.root.members[1].position == Position{5, 2});
  CHECK(document.root.find("b")->kind == JsonNode::Kind::object);
  CHECK(document.root.find("c") == nullptr);
}

TEST_CASE("escapes") {
  const JsonDocument document = read_json(R"(["\"\\\/\b\f\n\r\t", "\u00e9\u20AC\ud83d\ude00"])");
  REQUIRE(document.readable);
  CHECK(document.root.items[0].text == "\"\\/\b\f\n\r\t");
  CHECK(document.root.items[1].text == "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
}

TEST_CASE("syntax errors say what is wrong and where") {
  const Row rows[] = {
      {"", 1, 1, "the file is empty"},
      {"// only a comment", 1, 18, "the file is empty"},
      {"{\"a\": 1,}", 1, 8, "a comma after the last element of the object"},
      {"[1,\n2,\n]", 2, 2, "a comma after the last element of the list"},
      {"{\"a\" 1}", 1, 6, "\":\" is missing"},
      {"{\"a\": 1 \"b\": 2}", 1, 9, "\",\" or \"}\" is missing"},
      {"{\"a\": 1", 1, 8, "the file ends: \",\" or \"}\" is missing"},
      {"{\"a\":\n}", 2, 1, "a value is missing here"},
      {"{a: 1}", 1, 2, "a key in double quotes is missing"},
      {"{'a': 1}", 1, 2, "a key in double quotes is missing"},
      {"{\"a\": yes}", 1, 7, "\"yes\" without quotes"},
      {"{\"a\": 30m}", 1, 7, "a number with a unit is a text"},
      {"{\"a\": 1.2.3.4}", 1, 10, "\",\" or \"}\" is missing"},
      {"{\"a\": 007}", 1, 7, "does not begin with 0"},
      {"{\"a\": -}", 1, 8, "a digit is missing"},
      {"{\"a\": \"x\n\"}", 1, 7, "no closing quote"},
      {"{\"a\": \"x", 1, 7, "no closing quote"},
      {"{\"a\": \"C:\\dir\"}", 1, 10, "a backslash in a text is written"},
      {"{\"a\": \"\\u12\"}", 1, 8, "four hexadecimal digits"},
      {"{\"a\": \"\\ud800\"}", 1, 8, "half of a character"},
      {"{\"a\": \"\\ud800\\u0041\"}", 1, 8, "half of a character"},
      {"{\"a\": \"\\udc00\"}", 1, 8, "half of a character"},
      {"{\"a\": \"\t\"}", 1, 8, "a control character"},
      {"{} {}", 1, 4, "after the end of the configuration"},
      {"/* no end\n\n", 1, 1, "no end"},
      {"/ comment\n{}", 1, 1, "a comment begins with // or /*"},
      {"{\"a\": \"\xE9\"}", 1, 8, "byte E9 is no valid UTF-8"},
      {"{\"a\": \"\xC0\x80\"}", 1, 8, "byte C0 is no valid UTF-8"},
      {"{\"a\": \"\xED\xA0\x80\"}", 1, 8, "byte ED is no valid UTF-8"},
      {"\x01{}", 1, 1, "unexpected \"\\x01\""},
      {std::string("{}\0", 3), 1, 3, "unexpected \"\\x00\""},
      {std::string(100, '['), 1, 34, "nested more than 32 deep"},
      {std::string(kMaxConfigSize + 1, ' '), 1, 1, "larger than 1MiB"},
  };
  for (const Row& row : rows) expect_fault(row);

  std::string many = "{";
  for (size_t i = 0; i <= kMaxKeys; ++i) many += (i ? ",\"" : "\"") + std::to_string(i) + "\":1";
  CHECK(read_json(many + "}").faults.at(0).message == "more than 1000 keys in one object");
}

TEST_CASE("a repeated key is reported at its second place, and reading goes on") {
  const JsonDocument document = read_json("{\"a\": {\"x/y\": 1,\n \"x/y\": 2},\n\"a\": 3}");
  CHECK(document.readable);
  REQUIRE(document.faults.size() == 2);
  CHECK(document.faults[0].position == Position{2, 2});
  CHECK(document.faults[0].pointer == "/a/x~1y");
  CHECK(document.faults[0].message == "this key stands here twice; the first is in line 1");
  CHECK(document.faults[1].position == Position{3, 1});
}

TEST_CASE("random texts are accepted and understood as nlohmann/json does it") {
  std::mt19937 random(7);
  const char* const pieces[] = {"{",     "}",  "[",       "]",       ",",      ":",           "\"a\"",
                                "\"b\"", "1",  "-2.5e3 ", "true",    "null",   "\"\\n\"",     " ",
                                "\n",    "0",  "// c\n",  "/* c */", "1e5 ",   "\"\\u00e9\"", "false",
                                "{}",    "[]", "[1,2]",   "\"k\":",  "\"k\":", "{\"k\":1}",   "18446744073709551615"};
  size_t accepted = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = random() % 2 ? "[" : "{\"k\":";
    const char* const close = text == "[" ? "]" : "}";
    for (size_t n = random() % 6; n > 0; --n) text += pieces[random() % std::size(pieces)];
    text += close;
    const JsonDocument ours = read_json(text);
    const auto theirs = nlohmann::json::parse(text, nullptr, false, true);
    INFO(text);
    if (ours.readable == theirs.is_discarded()) REQUIRE(ours.readable != theirs.is_discarded());
    if (!ours.readable || !ours.faults.empty()) continue;
    ++accepted;
    if (to_nlohmann(ours.root) != theirs) REQUIRE(to_nlohmann(ours.root) == theirs);
  }
  CHECK(accepted > 2000);
}
