#include "capture/transcript/text_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "capture/transcript/harmless.h"

namespace smtpscope {
namespace {

constexpr size_t kLabel = 10;         ///< columns of a label
constexpr size_t kFrameIndent = 6;    ///< columns before a frame
constexpr size_t kMostRows = 40;      ///< rows of one event; what is more is counted
constexpr size_t kMostBytes = 16384;  ///< bytes of one text that are looked at

/// The text's own lines, each made harmless and wrapped; what a line runs over is indented by `hang` more columns.
std::vector<std::string> rows_of(std::string_view text, size_t columns, size_t hang) {
  const size_t cut = text.size() > kMostBytes ? text.size() - kMostBytes : 0;
  text.remove_suffix(cut);
  std::vector<std::string> rows;
  size_t left_out = 0;
  while (true) {
    const size_t end = text.find('\n');
    if (rows.size() < kMostRows) {
      bool first = true;
      for (std::string& row : wrap(harmless(text.substr(0, end)), columns, columns - hang)) {
        rows.push_back(first ? std::move(row) : std::string(hang, ' ') + row);
        first = false;
      }
    } else {
      ++left_out;
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  if (rows.size() > kMostRows) {
    left_out += rows.size() - kMostRows;
    rows.resize(kMostRows);
  }
  if (left_out > 0 || cut > 0) rows.push_back("[not all of it is shown; --format json has the rest]");
  return rows;
}

}  // namespace

TextPage::TextPage(size_t width, bool colour, int64_t last_us, bool whole_seconds)
    : width_(width),
      colour_(colour),
      whole_seconds_(whole_seconds),
      time_width_(std::max<size_t>(8, seconds_text(last_us).size())) {}

void TextPage::put(std::string_view text, Paint paint) {
  constexpr std::string_view kCodes[] = {"", "\x1b[2m", "\x1b[1m", "\x1b[32m", "\x1b[1;31m", "\x1b[33m"};
  if (!colour_ || paint == Paint::plain || text.find_first_not_of(' ') == std::string_view::npos) {
    out_ += text;
    return;
  }
  out_ += kCodes[static_cast<size_t>(paint)];
  out_ += text;
  out_ += "\x1b[0m";
}

void TextPage::event(bool marked, int64_t at_us, std::string_view arrow, std::string_view text, Paint paint) {
  put(marked ? "**" : "  ", Paint::bad);
  put(fmt::format(" {:>{}}", whole_seconds_ ? fmt::format("{}    ", at_us / 1'000'000) : seconds_text(at_us),
                  time_width_),
      Paint::dim);
  out_ += "  ";
  out_ += arrow;
  bool first = true;
  for (const std::string& row : rows_of(text, width_ - indent(), 2)) {
    if (!first) out_.append(indent() - 2, ' ');
    if (!row.empty()) out_ += "  ";
    put(row, paint);
    out_ += '\n';
    first = false;
  }
}

void TextPage::aside(std::string_view text, Paint paint) {
  for (const std::string& row : rows_of(text, width_ - indent(), 2)) {
    out_.append(indent(), ' ');
    put(row, paint);
    out_ += '\n';
  }
}

void TextPage::labelled(std::string_view label, std::string_view text, Paint paint) {
  put(fmt::format("{:<{}}", label, kLabel), Paint::dim);
  bool first = true;
  for (const std::string& row : rows_of(text, width_ - kLabel, 0)) {
    if (!first) out_.append(kLabel, ' ');
    put(row, paint);
    out_ += '\n';
    first = false;
  }
}

void TextPage::frame_edge(std::string_view title) {
  std::string edge = "+--";
  if (!title.empty()) edge += ' ' + fit(harmless(title), width_ - kFrameIndent - 8) + ' ';
  edge.append(width_ - kFrameIndent - display_width(edge), '-');
  out_.append(kFrameIndent, ' ');
  put(edge, Paint::bad);
  out_ += '\n';
}

void TextPage::framed(std::string_view label, std::string_view text) {
  bool first = true;
  for (const std::string& row : rows_of(text, width_ - kFrameIndent - kLabel - 2, 0)) {
    out_.append(kFrameIndent, ' ');
    put("| ", Paint::bad);
    put(fmt::format("{:<{}}", first ? label : "", kLabel), Paint::dim);
    put(row, label == "got" ? Paint::bold : Paint::plain);
    out_ += '\n';
    first = false;
  }
}

std::string seconds_text(int64_t us) {
  const int64_t ms = us / 1000 + (us % 1000 >= 500 ? 1 : 0);
  return fmt::format("{}{}.{:03}", ms < 0 ? "-" : "", (ms < 0 ? -ms : ms) / 1000, (ms < 0 ? -ms : ms) % 1000);
}

std::string grouped(uint64_t value) {
  std::string text = std::to_string(value);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string counted(uint64_t value, std::string_view noun) {
  return fmt::format("{} {}{}", grouped(value), noun, value == 1 ? "" : "s");
}

}  // namespace smtpscope
