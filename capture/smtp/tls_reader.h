// The readable part of TLS in pass-through (RFC 8446 5.1, RFC 6066 3): record by record of one side, the names of
// handshake messages in the clear, versions and server name of the hellos, alerts in the clear. What is encrypted is
// only counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "capture/smtp/syntax.h"

namespace smtpscope {

/// One record in the clear, or a run of encrypted ones.
struct TlsRecord {
  enum class Type : uint8_t { handshake, change_cipher_spec, alert, encrypted, garbage };
  Type type = Type::garbage;
  uint64_t offset = 0;  ///< of the record's header in the side's stream
  uint64_t bytes = 0;   ///< header included
  std::string text;     ///< "client_hello TLS 1.3 sni=mx.example", "alert fatal handshake_failure(40)", ...
  bool is_alert = false;
  uint8_t alert = 0;  ///< its description, RFC 8446 6
};

/// Is this a ClientHello in the form of SSL 2 (RFC 5246 E.2), as OpenSSL before 1.1 and Windows before Vista send it?
Fit fits_sslv2_hello(std::string_view bytes);

class TlsReader {
 public:
  explicit TlsReader(uint64_t start) : offset_(start) {}

  /// Reads on; calls nothing, returns the records that were completed by these bytes.
  std::vector<TlsRecord> feed(std::string_view bytes);
  /// Bytes passed unseen: from here on everything is garbage, counted only.
  void skip(uint64_t length);

  size_t memory() const { return sizeof *this + held_.capacity() + sni_.capacity(); }
  const std::string& version() const { return version_; }  ///< of this side's hello; empty if none was read
  const std::string& sni() const { return sni_; }          ///< of the client_hello; empty if none
  uint32_t application_records() const { return application_records_; }

 private:
  /// Bytes of a first record in the form of SSL 2; how many of them belong to it.
  size_t feed_sslv2(std::string_view bytes, std::vector<TlsRecord>& out);
  TlsRecord record(uint8_t type, std::string_view payload, uint64_t length);
  std::string handshake(std::string_view payload);
  std::string hello(std::string_view body, bool client);

  uint64_t offset_;         ///< of the next record's first byte
  std::string held_;        ///< a record's header and, if in the clear, its payload so far
  uint64_t left_ = 0;       ///< payload bytes of an encrypted record still to come
  bool encrypted_ = false;  ///< behind ChangeCipherSpec
  bool garbage_ = false;
  bool begun_ = false;  ///< the first byte has come
  bool sslv2_ = false;  ///< this is the first record, in the form of SSL 2
  std::string version_, sni_;
  uint32_t application_records_ = 0;
};

}  // namespace smtpscope
