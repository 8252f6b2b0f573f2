// Any line through the transcript reader: no crash; what is accepted is written as valid JSON that reads back the same,
// and is shown harmlessly within its width, in the text view and in the list.
#include <cstdint>
#include <string>
#include <string_view>

#include "capture/transcript/harmless.h"
#include "capture/transcript/json_reader.h"
#include "capture/transcript/json_writer.h"
#include "capture/transcript/list_line.h"
#include "capture/transcript/text_view.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  demand(raw(lossless(input)) == input);
  std::string error;
  const auto t = read_json(input, &error);
  if (!t) {
    demand(!error.empty());
    return 0;
  }
  std::string line, again;
  append_json(line, *t);
  demand(line.find('\n') == std::string::npos);
  const auto back = read_json(line, &error);
  demand(back.has_value());
  append_json(again, *back);
  demand(again == line);

  const std::string view = render_text(*t, {80, false});
  for (size_t at = 0; at < view.size();) {
    const size_t end = view.find('\n', at);
    demand(end != std::string::npos);
    const std::string_view shown = std::string_view(view).substr(at, end - at);
    demand(display_width(shown) <= 80 && harmless(shown) == shown);
    at = end + 1;
  }
  const std::string listed = list_line(list_row(*t), 80, false);
  demand(display_width(listed) <= 80 && harmless(listed) == listed);
  return 0;
}
