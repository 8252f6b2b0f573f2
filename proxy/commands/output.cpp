#include "proxy/commands/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace smtpscope {

TextOptions text_options() {
  TextOptions text;
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0) return text;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  text.colour =
      (no_colour == nullptr || *no_colour == '\0') && (terminal == nullptr || std::string_view(terminal) != "dumb");
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) text.width = size.ws_col;
  return text;
}

TextOptions list_options() {
  constexpr int kWhole = 1 << 20, kNarrow = 120;  // in 120 columns some 35 are left for what happened
  TextOptions text = text_options();
  if (isatty(STDOUT_FILENO) == 0) {
    text.width = kWhole;
  } else if (text.width < kNarrow) {
    text.width *= 2;
  }
  return text;
}

}  // namespace smtpscope
