// One HTTP/1 request, read from a stream of bytes by llhttp with bounds of our own. Pure: no sockets, no clock.
#pragma once

#include <llhttp.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace smtpscope {

struct HttpRequest {
  std::string method;         ///< "GET"
  std::string path;           ///< as sent, without the query
  std::string authorization;  ///< value of that header; empty: none
  std::string body{};
};

class HttpRequestReader {
 public:
  static constexpr size_t kMaxHead = 8 * 1024;    ///< bytes of request line and headers
  static constexpr size_t kMaxBody = 128 * 1024;  ///< whose length is said before (no chunks)

  enum class State : uint8_t {
    incomplete,
    complete,   ///< request() is whole; what follows it is ignored
    bad,        ///< no HTTP, too large a head, a body in chunks, or two values of a header that may stand once
    too_large,  ///< a body larger than kMaxBody is announced
  };

  HttpRequestReader();
  HttpRequestReader(const HttpRequestReader&) = delete;
  HttpRequestReader& operator=(const HttpRequestReader&) = delete;

  /// The next bytes of the stream. Once it is not incomplete it stays as it is.
  State feed(std::string_view bytes);
  const HttpRequest& request() const { return request_; }

 private:
  static HttpRequestReader& of(llhttp_t* parser) { return *static_cast<HttpRequestReader*>(parser->data); }
  static int on_url(llhttp_t* parser, const char* at, size_t size);
  static int on_field(llhttp_t* parser, const char* at, size_t size);
  static int on_field_complete(llhttp_t* parser);
  static int on_value(llhttp_t* parser, const char* at, size_t size);
  static int on_head_complete(llhttp_t* parser);
  static int on_body(llhttp_t* parser, const char* at, size_t size);
  static int on_complete(llhttp_t* parser);

  llhttp_settings_t settings_;
  llhttp_t parser_;
  HttpRequest request_;
  std::string url_, field_;
  size_t fed_ = 0;  ///< of the head
  bool in_body_ = false;
  bool authorizes_ = false;  ///< the header being read is Authorization
  State state_ = State::incomplete;
};

}  // namespace smtpscope
