// Lines of the text view: a mark, a time, an arrow and wrapped text; or a label and wrapped text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace smtpscope {

enum class Paint : uint8_t { plain, dim, bold, good, bad, warn };

class TextPage {
 public:
  /// `last_us`: the latest time that is shown; it decides how wide the time column is. `whole_seconds`:
  /// times are no finer.
  TextPage(size_t width, bool colour, int64_t last_us, bool whole_seconds = false);

  /// An event. `text` is lossless text, its lines divided by '\n'; it is made harmless here.
  void event(bool marked, int64_t at_us, std::string_view arrow, std::string_view text, Paint paint);
  /// A line without a time, under the text of events.
  void aside(std::string_view text, Paint paint);
  /// "Label     text", with following lines aligned.
  void labelled(std::string_view label, std::string_view text, Paint paint = Paint::plain);
  /// Upper (with a title) or lower edge of a frame, and a labelled line within it.
  void frame_edge(std::string_view title);
  void framed(std::string_view label, std::string_view text);
  void blank() { out_ += '\n'; }

  std::string take() { return std::move(out_); }

 private:
  void put(std::string_view text, Paint paint);
  size_t indent() const { return time_width_ + 9; }

  std::string out_;
  size_t width_;
  bool colour_, whole_seconds_;
  size_t time_width_;
};

/// Microseconds as "12.345" seconds.
std::string seconds_text(int64_t us);
/// 1234567 as "1,234,567".
std::string grouped(uint64_t value);
/// "1 line", "2 lines".
std::string counted(uint64_t value, std::string_view noun);

}  // namespace smtpscope
