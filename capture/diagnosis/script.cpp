#include "capture/diagnosis/script.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <utility>
#include <vector>

#include "capture/session_analyzer.h"

namespace smtpscope {
namespace {

constexpr int64_t kStepUs = 1000;
constexpr uint64_t kMaxBody = 64 * 1024 * 1024;
constexpr double kMaxSeconds = 1e6;

std::string_view steps_named(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kNamed[] = {
      {"hello",
       "G 220 gw.example ESMTP\nS EHLO mx.sender.example\n"
       "G~250-gw.example\\r\\n250-PIPELINING\\r\\n250-SIZE 10240000\\r\\n250-CHUNKING\\r\\n250 8BITMIME\\r\\n\n"},
      {"mail", "S MAIL FROM:<a@sender.example>\nG 250 2.1.0 Ok\n"},
      {"rcpt", "S RCPT TO:<b@gw.example>\nG 250 2.1.5 Ok\n"},
      {"data", "S DATA\nG 354 End data with <CR><LF>.<CR><LF>\n"},
      {"body", "S Subject: a test\nS \nS Hello.\nS .\n"},
      {"accepted", "G 250 2.0.0 Ok: queued as 4F1A2B3C4D\n"},
      {"bye", "S QUIT\nG 221 2.0.0 Bye\nG fin\nS fin\n"},
  };
  for (const auto& [known, steps] : kNamed)
    if (known == name) return steps;
  throw std::invalid_argument(fmt::format("there are no steps named \"{}\"", name));
}

double number(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != '\0' || !(value >= 0) || value > kMaxSeconds)
    throw std::invalid_argument(fmt::format("\"{}\" is no number of seconds from 0 to {}", text, kMaxSeconds));
  return value;
}

uint64_t count(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > kMaxBody)
    throw std::invalid_argument(fmt::format("\"{}\" is no number of bytes from 0 to {}", text, kMaxBody));
  return value;
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char next = i + 1 < text.size() ? text[++i] : '\0';
    if (next == 'r') {
      out += '\r';
    } else if (next == 'n') {
      out += '\n';
    } else if (next == '\\') {
      out += '\\';
    } else if (next == 'x' && i + 2 < text.size()) {
      int value = 0;
      const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
      if (error != std::errc() || end != text.data() + i + 3) throw std::invalid_argument("\\x needs two hex digits");
      out += static_cast<char>(value);
      i += 2;
    } else {
      throw std::invalid_argument("an escape is one of \\r \\n \\\\ \\xNN");
    }
  }
  return out;
}

class Player {
 public:
  Player(SessionFacts facts, std::function<void(const Record&)> tap)
      : analyzer_(std::move(facts)), tap_(std::move(tap)) {
    tell(analyzer_.facts());
  }

  void line(std::string_view line) {
    if (line.empty() || line[0] == '#') return;
    if (line[0] == '+') {
      now_us_ += std::llround(number(line.substr(1)) * 1e6);
      return;
    }
    now_us_ += kStepUs;
    if (line == "!" || line == "! ") return mark(std::nullopt, false, 0);
    if (line.starts_with("!connect ")) {
      mark(std::nullopt, false, 0);
      line.remove_prefix(1);
    }
    if (line.starts_with("connect ")) return connect(line.substr(8));
    if (line.starts_with("use ")) return use(line.substr(4));
    if (line.starts_with("hole ")) return hole(line.substr(5));
    if (line.starts_with("proxy closed")) {
      end_.proxy_cause = line.size() > 13 ? line.substr(13) : "drain";
      return close(From::proxy, CloseHow::fin, false);
    }
    if (line.starts_with("dns ")) return dns(line.substr(4));
    if (line.starts_with("path ")) return path(line.substr(5));
    if (line.starts_with("ident ")) return ident(line.substr(6));
    if (line == "interrupted") {
      end_.interrupted = true;
      return;
    }
    if (line[0] == 'S' || line[0] == 'G') return side(line[0] == 'S' ? From::sender : From::gateway, line.substr(1));
    throw std::invalid_argument(fmt::format("unknown step \"{}\"", line));
  }

  PlayedScript finish() {
    reach_gateway();
    end_.at_us = now_us_;
    end_.sender_stream.bytes = sent(From::sender);
    end_.gateway_stream.bytes = sent(From::gateway);
    tell(end_);
    PlayedScript played;
    played.transcript = analyzer_.finish(end_);
    played.mark = mark_;
    return played;
  }

 private:
  uint64_t& sent(From from) { return from == From::sender ? sender_bytes_ : gateway_bytes_; }

  void tell(const Record& record) const {
    if (tap_) tap_(record);
  }

  void mark(std::optional<From> side, bool close, uint64_t bytes) {
    if (mark_) throw std::invalid_argument("a second mark");
    mark_ = ScriptMark{side, close, now_us_, sender_bytes_, gateway_bytes_, bytes};
  }

  void connected(const GatewayConnect& connect) {
    tell(connect);
    analyzer_.connected(connect);
  }

  void reach_gateway() {
    if (std::exchange(connect_said_, true)) return;
    connected({GatewayConnect::State::connected, 0, 0, ""});
  }

  void connect(std::string_view rest) {
    if (connect_said_) throw std::invalid_argument("connect has to come first, and once");
    connect_said_ = true;
    if (rest == "pending") return;
    if (!rest.starts_with("failed ")) throw std::invalid_argument("connect pending, or connect failed ERROR SECONDS");
    rest.remove_prefix(7);
    const auto words = words_of(rest);
    if (words.size() != 2 && words.size() != 4)
      throw std::invalid_argument("connect failed ERROR SECONDS [FROM ICMP-WORD]");
    const int64_t took_us = std::llround(number(words[1]) * 1e6);
    now_us_ += took_us;
    GatewayConnect failed{GatewayConnect::State::failed, now_us_, took_us, std::string(words[0])};
    if (words.size() == 4) failed.icmp = {std::string(words[2]), std::string(words[3])};
    connected(failed);
  }

  static std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
      const size_t space = std::min(text.find(' '), text.size());
      if (space > 0) words.push_back(text.substr(0, space));
      text.remove_prefix(std::min(space + 1, text.size()));
    }
    return words;
  }

  void dns(std::string_view rest) {
    const auto words = words_of(rest);
    if (words.size() != 2 && words.size() != 3 && words.size() != 5)
      throw std::invalid_argument("dns STATUS SECONDS [NAME [STATUS SECONDS]]");
    end_.ptr.emplace();
    end_.ptr->status = words[0];
    end_.ptr->name_us = std::llround(number(words[1]) * 1e6);
    if (words.size() < 3) return;
    end_.ptr->name = words[2];
    end_.ptr->forward_status = words.size() == 5 ? words[3] : "ok";
    end_.ptr->forward_us = words.size() == 5 ? std::llround(number(words[4]) * 1e6) : 1000;
    end_.ptr->verified = end_.ptr->forward_status == "ok";
  }

  void ident(std::string_view rest) {
    const auto words = words_of(rest);
    if (words.size() != 2) throw std::invalid_argument("ident OUTCOME SECONDS");
    end_.ident = IdentQuery{std::string(words[0]), now_us_, std::llround(number(words[1]) * 1e6)};
  }

  void path(std::string_view rest) {
    const auto words = words_of(rest);
    if (words.size() < 2 || (words[0] != "S" && words[0] != "G"))
      throw std::invalid_argument("path S FIELD=NUMBER..., or path G ...");
    LegTransport leg{200, 0, 1448, 0, 0, 65'535, 0};
    for (size_t i = 1; i < words.size(); ++i) {
      const size_t equals = words[i].find('=');
      if (equals == std::string_view::npos) throw std::invalid_argument("path: FIELD=NUMBER");
      const std::string_view field = words[i].substr(0, equals);
      uint32_t* value = field == "unacked"        ? &leg.unacked
                        : field == "unsent"       ? &leg.unsent
                        : field == "window"       ? &leg.window
                        : field == "out-of-order" ? &leg.out_of_order
                        : field == "sacked"       ? &leg.sacked
                        : field == "retransmits"  ? &leg.retransmits
                                                  : nullptr;
      if (value == nullptr)
        throw std::invalid_argument("path: unacked, unsent, window, out-of-order, sacked, retransmits");
      *value = static_cast<uint32_t>(count(words[i].substr(equals + 1)));
    }
    (words[0] == "S" ? end_.sender_leg : end_.gateway_leg) = leg;
    end_.samples.push_back({now_us_, end_.sender_leg, end_.gateway_leg});
  }

  void use(std::string_view names) {
    while (!names.empty()) {
      const size_t space = std::min(names.find(' '), names.size());
      if (space > 0) {
        std::string_view steps = steps_named(names.substr(0, space));
        while (!steps.empty()) {
          const size_t end = steps.find('\n');
          line(steps.substr(0, end));
          steps.remove_prefix(end + 1);
        }
      }
      names.remove_prefix(std::min(space + 1, names.size()));
    }
  }

  void hole(std::string_view rest) {
    if (rest.size() < 3 || (rest[0] != 'S' && rest[0] != 'G') || rest[1] != ' ')
      throw std::invalid_argument("hole S BYTES or hole G BYTES");
    reach_gateway();
    const From from = rest[0] == 'S' ? From::sender : From::gateway;
    const uint64_t length = count(rest.substr(2));
    const Hole hole{from, now_us_, sent(from), length, "lost"};
    tell(hole);
    analyzer_.hole(hole);
    sent(from) += length;
  }

  void side(From from, std::string_view rest) {
    const bool marked = rest.starts_with('!');
    if (marked) rest.remove_prefix(1);
    const bool spaced = rest.starts_with(' ');
    if (!marked && !spaced && !rest.starts_with('~'))
      throw std::invalid_argument("a space, ! or ~ has to follow S and G");
    if (!connect_said_) reach_gateway();
    if (rest.starts_with('~')) return bytes(from, unescaped(rest.substr(1)), marked);
    if (spaced) rest.remove_prefix(1);
    if (rest == "fin") return close(from, CloseHow::fin, marked);
    if (rest == "rst") return close(from, CloseHow::rst, marked);
    if (rest == "timeout") return close(from, CloseHow::timeout, marked);
    if (rest.starts_with("body ")) {
      static constexpr std::string_view kRow = "The quick brown fox jumps over the lazy dog, again and again.\r\n";
      const uint64_t length = count(rest.substr(5));
      std::string body;
      body.reserve(length + kRow.size());
      while (body.size() < length) body += kRow;
      body.resize(length);
      return bytes(from, body, marked);
    }
    if (rest.starts_with("line ")) {
      const uint64_t length = std::max<uint64_t>(count(rest.substr(5)), 2);
      return bytes(from, std::string(length - 2, 'x') + "\r\n", marked);
    }
    bytes(from, std::string(rest) + "\r\n", marked);
  }

  void bytes(From from, const std::string& text, bool marked) {
    if (marked) mark(from, false, text.size());
    const Chunk chunk{from, now_us_, sent(from), text};
    tell(chunk);
    analyzer_.chunk(chunk);
    sent(from) += text.size();
  }

  void close(From from, CloseHow how, bool marked) {
    if (marked) mark(from, true, 0);
    tell(Closed{from, now_us_, how});
    analyzer_.closed({from, now_us_, how});
  }

  SessionAnalyzer analyzer_;
  std::function<void(const Record&)> tap_;
  SessionEnd end_;
  int64_t now_us_ = 0;
  uint64_t sender_bytes_ = 0, gateway_bytes_ = 0;
  bool connect_said_ = false;
  std::optional<ScriptMark> mark_;
};

}  // namespace

SessionFacts script_facts() {
  SessionFacts facts;
  facts.id = "01KB0000000000000000000000";
  facts.icid = 1;
  facts.instance = "01KB0000000000000000000001";
  facts.started_us = 1'795'000'000'000'000;
  facts.sender = {"192.0.2.1", 41234};
  facts.gateway = {"192.0.2.25", 25};
  facts.sees = "sender";
  return facts;
}

PlayedScript play_script(std::string_view script, const std::function<void(const Record&)>& tap) {
  SessionFacts facts = script_facts();
  size_t number_of_line = 0;
  // What is known from the first packet on.
  const auto first_line = [&](std::string_view word) -> std::optional<std::string_view> {
    if (!script.starts_with(word)) return std::nullopt;
    const std::string_view line = script.substr(0, script.find('\n'));
    script.remove_prefix(std::min(line.size() + 1, script.size()));
    ++number_of_line;
    return line.substr(word.size());
  };
  try {
    if (const auto header = first_line("header ")) {
      facts.sees = "proxy-header";
      facts.header = *header;
    }
    if (const auto port = first_line("sees-port ")) facts.sees_port = static_cast<uint16_t>(count(*port));
  } catch (const std::invalid_argument& error) {
    return {fmt::format("line 1: {}", error.what()), {}, {}};
  }
  Player player(std::move(facts), tap);
  try {
    while (!script.empty()) {
      ++number_of_line;
      const size_t end = script.find('\n');
      player.line(script.substr(0, end));
      script.remove_prefix(end == std::string_view::npos ? script.size() : end + 1);
    }
  } catch (const std::invalid_argument& error) {
    PlayedScript failed;
    failed.error = fmt::format("line {}: {}", number_of_line, error.what());
    return failed;
  }
  return player.finish();
}

}  // namespace smtpscope
