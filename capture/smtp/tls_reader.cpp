#include "capture/smtp/tls_reader.h"

#include <algorithm>
#include <array>
#include <utility>

namespace smtpscope {
namespace {

constexpr size_t kHeader = 5;
constexpr size_t kMaxPayload = 16384 + 2048;  // RFC 5246 6.2.3, the larger of both limits
constexpr size_t kMaxClear = 16384;

enum ContentType : uint8_t { kChangeCipherSpec = 20, kAlert = 21, kHandshake = 22, kApplicationData = 23 };

uint8_t byte(std::string_view b, size_t at) { return static_cast<uint8_t>(b[at]); }
size_t number(std::string_view b, size_t at, size_t length) {
  size_t value = 0;
  for (size_t i = 0; i < length; ++i) value = value << 8 | byte(b, at + i);
  return value;
}

std::string version_name(size_t version) {
  switch (version) {
    case 0x0300:
      return "SSL 3.0";
    case 0x0301:
      return "TLS 1.0";
    case 0x0302:
      return "TLS 1.1";
    case 0x0303:
      return "TLS 1.2";
    case 0x0304:
      return "TLS 1.3";
    default:
      return "TLS ?";
  }
}

std::string_view alert_name(uint8_t description) {
  constexpr std::array<std::pair<uint8_t, std::string_view>, 28> kAlerts{{
      {0, "close_notify"},
      {10, "unexpected_message"},
      {20, "bad_record_mac"},
      {21, "decryption_failed"},
      {22, "record_overflow"},
      {40, "handshake_failure"},
      {41, "no_certificate"},
      {42, "bad_certificate"},
      {43, "unsupported_certificate"},
      {44, "certificate_revoked"},
      {45, "certificate_expired"},
      {46, "certificate_unknown"},
      {47, "illegal_parameter"},
      {48, "unknown_ca"},
      {49, "access_denied"},
      {50, "decode_error"},
      {51, "decrypt_error"},
      {70, "protocol_version"},
      {71, "insufficient_security"},
      {80, "internal_error"},
      {86, "inappropriate_fallback"},
      {90, "user_canceled"},
      {100, "no_renegotiation"},
      {109, "missing_extension"},
      {110, "unsupported_extension"},
      {112, "unrecognized_name"},
      {116, "certificate_required"},
      {120, "no_application_protocol"},
  }};
  for (const auto& [code, text] : kAlerts)
    if (code == description) return text;
  return "unknown";
}

std::string_view handshake_name(uint8_t type) {
  switch (type) {
    case 0:
      return "hello_request";
    case 1:
      return "client_hello";
    case 2:
      return "server_hello";
    case 4:
      return "new_session_ticket";
    case 11:
      return "certificate";
    case 12:
      return "server_key_exchange";
    case 13:
      return "certificate_request";
    case 14:
      return "server_hello_done";
    case 15:
      return "certificate_verify";
    case 16:
      return "client_key_exchange";
    case 20:
      return "finished";
    case 22:
      return "certificate_status";
    default:
      return {};
  }
}

}  // namespace

std::string TlsReader::hello(std::string_view body, bool client) {
  // legacy_version(2) random(32) session_id(1+n) then cipher suites and compression, then extensions(2+n).
  if (body.size() < 35) return {};
  size_t version = number(body, 0, 2);
  size_t at = 34;
  at += size_t{1} + byte(body, at);
  if (client) {
    if (at + 2 > body.size()) return version_ = version_name(version);
    at += 2 + number(body, at, 2);
    if (at + 1 > body.size()) return version_ = version_name(version);
    at += size_t{1} + byte(body, at);
  } else {
    at += 3;
  }
  at += 2;
  while (at + 4 <= body.size()) {
    const size_t type = number(body, at, 2), length = number(body, at + 2, 2);
    at += 4;
    if (at + length > body.size()) break;
    const std::string_view data = body.substr(at, length);
    at += length;
    if (type == 0 && client && data.size() > 5) {  // server_name: list(2) type(1) length(2) name
      sni_ = std::string(data.substr(5, std::min<size_t>(number(data, 3, 2), 255)));
    } else if (type == 43) {  // supported_versions
      if (!client && data.size() >= 2) version = number(data, 0, 2);
      for (size_t i = 1; client && i + 2 <= data.size(); i += 2) {
        const size_t offered = number(data, i, 2);
        if (offered >= 0x0300 && offered <= 0x0304) version = std::max(version, offered);
      }
    }
  }
  return version_ = version_name(version);
}

std::string TlsReader::handshake(std::string_view payload) {
  std::string text;
  while (payload.size() >= 4) {
    const uint8_t type = byte(payload, 0);
    const size_t length = number(payload, 1, 3);
    const std::string_view name = handshake_name(type);
    if (name.empty()) break;
    const std::string_view body = payload.substr(4, length);
    if (!text.empty()) text += ", ";
    text += name;
    if (type == 1 || type == 2) {
      const std::string version = hello(body, type == 1);
      if (!version.empty()) text += ' ' + version;
      if (type == 1 && !sni_.empty()) text += " sni=" + sni_;
    }
    if (4 + length >= payload.size()) break;
    payload.remove_prefix(4 + length);
  }
  return text.empty() ? "handshake" : text;
}

TlsRecord TlsReader::record(uint8_t type, std::string_view payload, uint64_t length) {
  TlsRecord out;
  out.offset = offset_;
  out.bytes = kHeader + length;
  const bool clear_alert = type == kAlert && !encrypted_ && length == 2 && payload.size() == 2;
  if (clear_alert) {
    out.type = TlsRecord::Type::alert;
    out.is_alert = true;
    out.alert = byte(payload, 1);
    out.text = std::string(byte(payload, 0) == 1 ? "alert warning " : "alert fatal ") +
               std::string(alert_name(out.alert)) + '(' + std::to_string(out.alert) + ')';
  } else if (type == kHandshake && !encrypted_) {
    out.type = TlsRecord::Type::handshake;
    out.text = handshake(payload);
  } else if (type == kChangeCipherSpec) {
    out.type = TlsRecord::Type::change_cipher_spec;
    out.text = "change_cipher_spec";
    encrypted_ = true;
  } else {
    out.type = TlsRecord::Type::encrypted;
    encrypted_ = true;
    if (type == kApplicationData) ++application_records_;
    out.text = type == kApplicationData ? "application_data"
               : type == kAlert         ? "encrypted alert"
                                        : "encrypted handshake";
  }
  offset_ += out.bytes;
  return out;
}

Fit fits_sslv2_hello(std::string_view bytes) {
  if (bytes.empty() || (byte(bytes, 0) & 0x80U) == 0) return Fit::no;
  if (bytes.size() > 2 && byte(bytes, 2) != 1) return Fit::no;
  if (bytes.size() > 3 && byte(bytes, 3) != 3 && byte(bytes, 3) != 0) return Fit::no;
  if (bytes.size() < 5) return Fit::perhaps;
  return byte(bytes, 3) == 3 ? (byte(bytes, 4) <= 4 ? Fit::yes : Fit::no) : (byte(bytes, 4) == 2 ? Fit::yes : Fit::no);
}

size_t TlsReader::feed_sslv2(std::string_view bytes, std::vector<TlsRecord>& out) {
  constexpr size_t kLength = 2;
  const size_t wanted = held_.size() < kLength ? kLength : kLength + (number(held_, 0, kLength) & 0x7FFFU);
  const size_t n = std::min(wanted - held_.size(), bytes.size());
  held_.append(bytes.substr(0, n));
  if (held_.size() < wanted || wanted == kLength) return n;
  sslv2_ = false;
  if (held_.size() >= 5) version_ = version_name(number(held_, 3, 2));
  out.push_back({TlsRecord::Type::handshake, offset_, held_.size(), "client_hello " + version_, false, 0});
  offset_ += held_.size();
  held_.clear();
  return n;
}

std::vector<TlsRecord> TlsReader::feed(std::string_view bytes) {
  std::vector<TlsRecord> out;
  while (!bytes.empty()) {
    if (garbage_) {
      out.push_back({TlsRecord::Type::garbage, offset_, bytes.size(), "not TLS", false, 0});
      offset_ += bytes.size();
      break;
    }
    if (left_ > 0) {  // the rest of an encrypted record is only counted
      const size_t n = std::min<uint64_t>(left_, bytes.size());
      left_ -= n;
      bytes.remove_prefix(n);
      if (left_ == 0) {
        const uint64_t length = number(held_, 3, 2);
        out.push_back(record(byte(held_, 0), {}, length));
        held_.clear();
      }
      continue;
    }
    if (!std::exchange(begun_, true)) sslv2_ = fits_sslv2_hello(bytes) != Fit::no;
    if (sslv2_) {
      bytes.remove_prefix(feed_sslv2(bytes, out));
      continue;
    }
    const size_t wanted = held_.size() < kHeader ? kHeader : kHeader + number(held_, 3, 2);
    const size_t n = std::min(wanted - held_.size(), bytes.size());
    held_.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    if (held_.size() < kHeader) break;
    const uint8_t type = byte(held_, 0);
    const size_t length = number(held_, 3, 2);
    if (held_.size() == kHeader && (type < kChangeCipherSpec || type > kApplicationData || byte(held_, 1) != 3 ||
                                    length > kMaxPayload || length == 0)) {
      garbage_ = true;
      out.push_back({TlsRecord::Type::garbage, offset_, held_.size(), "not TLS", false, 0});
      offset_ += held_.size();
      held_.clear();
      continue;
    }
    const bool clear = !encrypted_ && (type == kHandshake || type == kAlert) && length <= kMaxClear;
    if (!clear && held_.size() == kHeader) {
      left_ = length;
      continue;
    }
    if (held_.size() == kHeader + length) {
      out.push_back(record(type, std::string_view(held_).substr(kHeader), length));
      held_.clear();
    }
  }
  return out;
}

void TlsReader::skip(uint64_t length) {
  offset_ += held_.size() + length;
  held_.clear();
  left_ = 0;
  garbage_ = true;
}

}  // namespace smtpscope
