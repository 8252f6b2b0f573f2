// A small HTTP/1 server on a libuv loop: one request a connection, read whole within bounds, answered, closed. For a
// few programs that ask now and then; it takes no more than kMaxConnections and waits no longer than kPatienceMs for
// any.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <utility>

#include "proxy/control/http_request.h"
#include "proxy/net/socket.h"
#include "proxy/net/uv_ptr.h"

namespace smtpscope {

struct HttpResponse {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::string challenge{};  ///< WWW-Authenticate; empty: none
  std::string allow{};      ///< of 405: the methods that there are
};

class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;
  static constexpr size_t kMaxConnections = 64;
  static constexpr uint64_t kPatienceMs = 10'000;  ///< for a request, and for its answer to be taken

  /// Takes over a bound socket, of TCP or of the file system. Throws std::runtime_error if libuv refuses.
  HttpServer(uv_loop_t* loop, Fd listener, Handler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  struct Connection {
    Connection(HttpServer* of, UvPtr<uv_tcp_t> accepted, uint64_t until_ms)
        : server(of), socket(std::move(accepted)), deadline_ms(until_ms) {}
    HttpServer* server;
    UvPtr<uv_tcp_t> socket;
    uint64_t deadline_ms;
    HttpRequestReader reader{};
    bool answered = false;
    std::list<Connection>::iterator self{};
  };

  void accept();
  void on_bytes(Connection& connection, const char* bytes, ssize_t size);
  void answer(Connection& connection, const HttpResponse& response, bool head);
  void close_late();

  uv_loop_t* loop_;
  Handler handler_;
  UvPtr<uv_tcp_t> listener_;
  UvPtr<uv_timer_t> timer_;
  std::list<Connection> connections_;
};

}  // namespace smtpscope
