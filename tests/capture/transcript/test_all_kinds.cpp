// Every kind of breakdown there is, played and then written, read back and shown: what must hold for all.
#include "capture/diagnosis/rule.h"
#include "capture/diagnosis/script.h"
#include "capture/transcript/harmless.h"
#include "capture/transcript/json_reader.h"
#include "capture/transcript/json_writer.h"
#include "capture/transcript/text_view.h"
#include "tests/capture/transcript/schema.h"
#include "tests/catch.h"

using namespace smtpscope;

TEST_CASE("the transcript of every rule's scripts is as the schema says, is read back whole, and is shown") {
  for (const Rule* rule : all_rules())
    for (const std::string_view script : {rule->fires, rule->quiet}) {
      INFO(rule->code << '\n' << script);
      const PlayedScript played = play_script(script);
      REQUIRE(played.error.empty());
      const Transcript& t = played.transcript;
      std::string line, again, error;
      append_json(line, t);
      test::require_valid(line);
      const auto back = read_json(line, &error);
      INFO(error);
      REQUIRE(back);
      append_json(again, *back);
      REQUIRE(again == line);

      const std::string view = render_text(t, {100, false});
      REQUIRE(render_text(*back, {100, false}) == view);
      size_t marks = 0;
      for (size_t at = 0; at < view.size();) {
        const size_t end = view.find('\n', at);
        const std::string shown = view.substr(at, end - at);
        REQUIRE(display_width(shown) <= 100);
        REQUIRE(harmless(shown) == shown);
        marks += shown.starts_with("** ") ? 1U : 0U;
        at = end + 1;
      }
      REQUIRE(marks == (t.breakdown ? 1U : 0U));
      if (t.breakdown) REQUIRE(view.find("\n      +-- " + t.breakdown->code + ": phase ") != std::string::npos);
    }
}
