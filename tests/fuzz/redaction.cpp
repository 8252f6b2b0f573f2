// A credential is planted in AUTH exchanges whose mechanism, steps, segmentation, losses and replies the input decides.
// They go the way of the live path, and no piece of the credential, plain or in base64, may be in what would be written
// to disk: the recording and the transcript. All else that is recorded must be what was sent.
//
// Secret is what the sender sends as the initial response of AUTH, and the lines behind AUTH that are no commands,
// whatever the gateway answers or does not answer; and what the gateway repeats of them, encoded or decoded.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/recording/pcapng_reader.h"
#include "capture/recording/session_recorder.h"
#include "capture/transcript/json_writer.h"
#include "tests/fuzz/demand.h"

using namespace smtpscope;

namespace {

constexpr size_t kSecret = 32, kPlainPiece = 12, kEncodedPiece = 16;  // pieces that do not occur by chance
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The input as decisions; when it is used up, all are the first choice.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  size_t below(size_t n) {
    if (left_ == 0 || n == 0) return 0;
    --left_;
    return *data_++ % n;
  }
  /// Not in the first choice.
  bool one_in(size_t n) { return below(n) == n - 1; }

 private:
  const uint8_t* data_;
  size_t left_;
};

std::string secret_from(const uint8_t* data, size_t size) {
  uint64_t state = 0x9e3779b97f4a7c15;
  for (size_t i = 0; i < size; ++i) state = (state ^ data[i]) * 0x100000001b3;
  std::string secret;
  while (secret.size() < kSecret) {
    state = state * 6364136223846793005 + 1442695040888963407;
    secret += kAlphabet[(state >> 33) % kAlphabet.size()];
  }
  return secret;
}

std::string base64(std::string_view text, bool padded = true) {
  std::string out;
  for (size_t i = 0; i < text.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) bits = bits << 8 | (i + k < text.size() ? static_cast<uint8_t>(text[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k)
      if (k <= text.size() - i)
        out += (std::string(kAlphabet) + "+/")[bits >> (18 - 6 * k) & 63];
      else if (padded)
        out += '=';
  }
  return out;
}

/// What of the secret must be nowhere: its pieces, as they are and in base64 at each of the three alignments.
std::vector<std::string> pieces_of(const std::string& secret) {
  std::vector<std::string> pieces;
  for (size_t i = 0; i + kPlainPiece <= secret.size(); ++i) pieces.push_back(secret.substr(i, kPlainPiece));
  for (size_t shift = 0; shift < 3; ++shift) {
    const std::string text = base64(std::string(shift, 'x') + secret);
    const size_t end = (shift + secret.size()) * 8 / 6;
    for (size_t i = (shift * 8 + 5) / 6; i + kEncodedPiece <= end; ++i) pieces.push_back(text.substr(i, kEncodedPiece));
  }
  return pieces;
}

/// One session through the recorder, and what both sides sent.
class Session {
 public:
  Session(Choices& in, const SessionFacts& facts) : in_(in), cut_(in.below(4)) {
    append_section(out_);
    recorder_.emplace(facts, out_);
    recorder_->connected({GatewayConnect::State::connected, 1, 1, ""}, out_);
  }

  void lose_bytes(bool lossy) { lossy_ = lossy; }
  /// What the sender writes now, or together with what it writes next; `safe` bytes at its front are never lost.
  void sender(std::string_view text, size_t safe = SIZE_MAX) {
    const size_t begin = waiting_.size();
    waiting_ += text;
    if (lossy_ && safe < text.size() && in_.one_in(4)) {
      const size_t from = begin + safe + in_.below(text.size() - safe);
      flush(from, in_.below(40));
    } else if (in_.below(2) == 0) {
      flush();
    }
  }
  void gateway(std::string_view text) {
    flush();
    size_t at = 0;
    if (lossy_ && in_.one_in(4)) {
      at = in_.below(text.size());
      pass(From::gateway, text.substr(0, at));
      at += lose(From::gateway, text.substr(at), in_.below(40));
    }
    pass(From::gateway, text.substr(at));
  }
  void flush() { flush(waiting_.size(), 0); }
  void close(From from, CloseHow how) {
    flush();
    recorder_->closed({from, ++now_, how}, out_);
  }
  void check(const std::string& secret) {
    flush();
    SessionEnd end;
    end.at_us = ++now_;
    const Transcript t = recorder_->ended(end, out_);
    std::string json;
    append_json(json, t);
    std::array<std::string, 2> recorded;
    read_recording(out_, [&](uint64_t, const Record& record, ByteRange) {
      const auto* chunk = std::get_if<Chunk>(&record);
      if (chunk == nullptr) return;
      const size_t side = chunk->from == From::sender ? 0 : 1;
      demand(chunk->offset + chunk->bytes.size() <= sent_[side].size());
      for (size_t i = 0; i < chunk->bytes.size(); ++i)
        demand(chunk->bytes[i] == '*' || chunk->bytes[i] == sent_[side][chunk->offset + i]);
      recorded[side] += chunk->bytes;
    });
    const auto found = [&](const std::string& piece) {
      std::fprintf(stderr, "found: %s\nsent:\n%s\n%s\nwritten:\n%s\n%s\n%s\n", piece.c_str(), sent_[0].c_str(),
                   sent_[1].c_str(), recorded[0].c_str(), recorded[1].c_str(), json.c_str());
      std::abort();
    };
    if (out_.find(secret) != std::string::npos) found(secret);
    for (const std::string& piece : pieces_of(secret))
      for (const std::string* text : {&recorded[0], &recorded[1], &json})
        if (text->find(piece) != std::string::npos) found(piece);
  }

 private:
  void flush(size_t lost_from, size_t lost) {
    std::string text;
    text.swap(waiting_);
    pass(From::sender, std::string_view(text).substr(0, lost_from));
    if (lost_from >= text.size()) return;
    lost_from += lose(From::sender, std::string_view(text).substr(lost_from), lost);
    pass(From::sender, std::string_view(text).substr(lost_from));
  }
  /// Loses up to `n` bytes, but no line end; returns how many.
  size_t lose(From from, std::string_view text, size_t n) {
    n = std::min({n, text.size(), text.find('\n')});
    std::string& sent = sent_[from == From::sender ? 0 : 1];
    if (n > 0) recorder_->lost({from, ++now_, sent.size(), n, "overload"}, out_);
    sent.append(n, '?');
    return n;
  }
  void pass(From from, std::string_view text) {
    sent_[from == From::sender ? 0 : 1] += text;
    while (!text.empty()) {
      size_t n = text.size();
      if (cut_ == 1) n = 1;
      if (cut_ > 1) n = std::min(n, 1 + in_.below(cut_ == 2 ? 8 : 64));
      std::string bytes(text.substr(0, n));
      recorder_->chunk(from, ++now_, bytes.data(), bytes.size(), out_);
      text.remove_prefix(n);
    }
  }

  Choices& in_;
  size_t cut_;  ///< whole, byte by byte, small pieces, larger ones
  bool lossy_ = false;
  std::string out_, waiting_;
  std::optional<SessionRecorder> recorder_;
  std::array<std::string, 2> sent_;
  int64_t now_ = 0;
};

struct Exchange {
  std::string mechanism;
  std::vector<std::string> lines;  ///< the first may go with AUTH
  std::string plain;               ///< the credential decoded
  size_t secret_line = 0;          ///< which line it is in
};

Exchange exchange_of(Choices& in, const std::string& secret) {
  const size_t mechanism = in.below(8);
  const size_t spelling = in.below(8);
  const auto encoded = [&](std::string text) {
    text = base64(text, spelling != 1);
    if (spelling == 2)
      std::replace(text.begin(), text.end(), '/', '_'), std::replace(text.begin(), text.end(), '+', '-');
    return spelling == 3 ? text + "  " : text;
  };
  std::string token = secret;  // without a space
  std::replace(token.begin(), token.end(), ' ', '0');
  const std::string bearer = "auth=Bearer " + token + '\1';
  const std::string place = std::string("host=gw") + "\1port=25\1";
  switch (mechanism) {
    case 0:
      return {"PLAIN", {encoded(std::string("\0joe\0", 5) + secret)}, secret};
    case 1:
      return {"LOGIN", {encoded(in.one_in(2) ? secret : "joe"), encoded(secret)}, secret, 1};
    case 2:
      return {"CRAM-MD5", {encoded("joe " + token)}, token};
    case 3:
      return {"XOAUTH2", {encoded("user=joe@a.example\1" + bearer + '\1'), ""}, token};
    case 4:
      return {"OAUTHBEARER",
              {encoded("n,a=joe@a.example,\1" + (in.one_in(2) ? bearer + place : place + bearer) + '\1'), "AQ=="},
              token};
    case 5:
      return {"SCRAM-SHA-256", {encoded("n,,n=joe,r=abc"), encoded("c=biws,r=abcdef,p=" + token)}, "", 1};
    case 6:
      return {"X-NEW", {encoded(secret), encoded(secret)}, secret};
    default:
      return {"plain", {token}, token};  // not encoded
  }
}

/// What the gateway says, or not, behind the lines of AUTH. It may repeat `seen`, or `plain` as it was decoded.
void answer(Choices& in, Session& s, std::string_view seen, const std::string& plain) {
  while (seen.ends_with('\n') || seen.ends_with('\r')) seen.remove_suffix(1);
  for (size_t i = in.below(3); i < 3; ++i) switch (in.below(16)) {
      case 0:
        return s.gateway("334 \r\n");
      case 1:
        s.gateway("334 VXNlcm5hbWU6\r\n");
        break;
      case 2:
        s.gateway("235 2.7.0 ok\r\n");
        break;
      case 3:
        s.gateway("535 5.7.8 no\r\n");
        break;
      case 4:
        s.gateway("421 4.3.2 closing\r\n");
        break;
      case 5:
        s.gateway("250 what?\r\n");
        break;
      case 6:
        s.gateway("no code\r\n");
        break;
      case 7:
        s.gateway("334-a\r\n334 b\r\n");
        break;
      case 8:
        s.gateway("503 5.5.1 EHLO first\r\n");
        break;
      case 9:
        s.gateway("501 5.5.2 cannot decode " + std::string(seen) + "\r\n");
        break;
      case 10:
        s.gateway("501-5.5.2 cannot decode\n501 5.5.2 <" + std::string(seen) + ">\n");
        break;
      case 11:
        s.gateway("501 5.5.2 " + std::string(seen.substr(0, in.below(seen.size() + 1))) + "...\r\n");
        break;
      case 12:
        s.gateway("535 5.7.8 not " + plain + ", joe\r\n");
        break;
      case 13:
        s.gateway("33");
        s.gateway("4 \r\n");
        break;
      case 14:
        s.gateway(seen);
        s.gateway("\r\n");
        break;
      default:
        return;
    }
}

/// A line with a credential, perhaps in two writes with a reply between.
void secret_line(Choices& in, Session& s, const std::string& line, size_t safe) {
  const size_t half = in.one_in(4) ? in.below(line.size()) : 0;
  if (half > safe) {
    s.sender(line.substr(0, half), safe);
    if (in.one_in(2)) s.flush();
    if (in.one_in(2)) answer(in, s, line.substr(0, half), "");
    s.sender(line.substr(half));
  } else {
    s.sender(line, safe);
  }
}

/// One AUTH; false: the sender stopped in the middle of it.
bool authenticate(Choices& in, Session& s, const std::string& secret) {
  const Exchange exchange = exchange_of(in, secret);
  const std::string end = in.one_in(8) ? "\n" : "\r\n";
  constexpr std::array<std::string_view, 6> kAuth{"AUTH ", "auth ", "  AUTH   ", "AUTH\t", "AUTH=", "AuTh  "};
  const std::string auth = std::string(kAuth[in.below(kAuth.size())]);
  size_t next = 0;
  std::string line = auth + (exchange.mechanism == "plain" ? "" : exchange.mechanism);
  if (exchange.mechanism == "plain" || in.below(2) == 0) line += ' ' + exchange.lines[next++];
  secret_line(in, s, line + end, auth.size());
  std::string seen = line;
  for (; next < exchange.lines.size(); ++next) {
    answer(in, s, seen, next > exchange.secret_line ? exchange.plain : "");
    if (in.one_in(8)) {
      s.sender("*" + end);
      return true;
    }
    seen = exchange.lines[next];
    if (in.one_in(16)) {
      s.sender(seen.substr(0, in.below(seen.size() + 1)));
      return false;
    }
    secret_line(in, s, seen + end, 0);
  }
  answer(in, s, seen, exchange.plain);
  return true;
}

/// What comes before the first AUTH; the reply to the last command may be missing yet.
void prelude(Choices& in, Session& s) {
  constexpr std::string_view kMail = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
  if (in.one_in(8)) return;  // AUTH before all else
  s.gateway("220 gw ESMTP\r\n");
  s.sender("EHLO a.example\r\n");
  s.gateway("250-gw\r\n250 AUTH PLAIN LOGIN\r\n");
  switch (in.below(8)) {
    case 0:
      s.sender("NOOP\r\n");
      return s.gateway("250 ok\r\n");
    case 1:
      s.sender(kMail);
      s.gateway("250 ok\r\n250 ok\r\n354 go\r\n");
      s.sender("Subject: hello\r\n\r\nhello\r\n.\r\n");
      return s.gateway("250 queued\r\n");
    case 2:
      s.sender("STARTTLS\r\n");
      return s.gateway("220 go\r\n");  // TLS that was taken off
    default:
      return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices in(data, size);
  std::string secret = secret_from(data, size);
  if (in.one_in(8)) secret[10] = ' ';
  SessionFacts facts;
  facts.id = "01KB0000000000000000000S00";
  facts.sender = {"192.0.2.7", 4000};
  facts.gateway = {"198.51.100.25", 25};
  constexpr std::array<std::string_view, 3> kPolicies{"full", "headers", "none"};
  facts.body_policy = kPolicies[in.below(kPolicies.size())];
  facts.body_limit = in.below(4) * 5;

  Session s(in, facts);
  prelude(in, s);
  s.lose_bytes(in.one_in(4));
  bool goes_on = true;
  for (size_t i = in.below(3); goes_on && i < 3; ++i) goes_on = authenticate(in, s, secret);
  if (goes_on && in.below(2) == 0) {
    s.sender("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    s.gateway("250 ok\r\n250 ok\r\n354 go\r\n");
    s.sender("Subject: hello\r\n\r\nhello\r\n.\r\nQUIT\r\n");
    s.gateway("250 queued\r\n221 bye\r\n");
  }
  if (in.below(2) == 0)
    s.close(in.one_in(2) ? From::gateway : From::sender, in.one_in(2) ? CloseHow::rst : CloseHow::fin);
  s.check(secret);
  return 0;
}
