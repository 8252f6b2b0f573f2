#include "proxy/control/http_server.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace smtpscope {
namespace {

constexpr uint64_t kLookMs = 500;
constexpr int kBacklog = 16;

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 422:
      return "Unprocessable Content";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Bad Request";
  }
}

std::string spelled(const HttpResponse& response, bool head) {
  std::string text = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n",
      response.status, reason(response.status), response.type, response.body.size());
  if (!response.challenge.empty()) text += "WWW-Authenticate: " + response.challenge + "\r\n";
  if (!response.allow.empty()) text += "Allow: " + response.allow + "\r\n";
  text += "\r\n";
  if (!head) text += response.body;
  return text;
}

/// Owns its bytes until libuv is done with them.
struct Write {
  uv_write_t request{};
  uv_shutdown_t end{};
  std::string bytes;
};

UvPtr<uv_tcp_t> make_tcp(uv_loop_t* loop, void* data) {
  auto tcp = std::make_unique<uv_tcp_t>();
  if (uv_tcp_init(loop, tcp.get()) != 0) return nullptr;
  tcp->data = data;
  return UvPtr<uv_tcp_t>(tcp.release());
}

uv_stream_t* stream(const UvPtr<uv_tcp_t>& tcp) { return reinterpret_cast<uv_stream_t*>(tcp.get()); }

}  // namespace

HttpServer::HttpServer(uv_loop_t* loop, Fd listener, Handler handler)
    : loop_(loop), handler_(std::move(handler)), listener_(make_tcp(loop, this)), timer_(make_timer(loop, this)) {
  if (!listener_ || !timer_ || uv_tcp_open(listener_.get(), listener.get()) != 0)
    throw std::runtime_error("control: no event loop: out of descriptors or memory");
  listener.release();  // libuv's now
  const int error = uv_listen(stream(listener_), kBacklog, [](uv_stream_t* s, int status) {
    if (s->data != nullptr && status == 0) static_cast<HttpServer*>(s->data)->accept();
  });
  if (error != 0) throw std::runtime_error(fmt::format("control: cannot listen: {}", uv_strerror(error)));
  uv_timer_start(
      timer_.get(),
      [](uv_timer_t* t) {
        if (t->data != nullptr) static_cast<HttpServer*>(t->data)->close_late();
      },
      kLookMs, kLookMs);
}

void HttpServer::accept() {
  auto socket = make_tcp(loop_, nullptr);
  if (!socket || uv_accept(stream(listener_), stream(socket)) != 0) return;
  if (connections_.size() >= kMaxConnections) return;  // closed as it goes out of scope
  connections_.emplace_back(this, std::move(socket), uv_now(loop_) + kPatienceMs);
  Connection& connection = connections_.back();
  connection.self = std::prev(connections_.end());
  connection.socket->data = &connection;
  uv_read_start(
      stream(connection.socket),
      [](uv_handle_t*, size_t, uv_buf_t* buffer) {
        static thread_local std::array<char, 4096> space;  // looked at at once, so one is enough
        *buffer = uv_buf_init(space.data(), space.size());
      },
      [](uv_stream_t* s, ssize_t size, const uv_buf_t* buffer) {
        if (s->data == nullptr || size == 0) return;
        auto& ready = *static_cast<Connection*>(s->data);
        ready.server->on_bytes(ready, buffer->base, size);
      });
}

void HttpServer::on_bytes(Connection& connection, const char* bytes, ssize_t size) {
  if (size < 0) {
    connections_.erase(connection.self);
    return;
  }
  // What comes behind a request is read and dropped: unread, it would make close() take back the answer.
  if (connection.answered) return;
  switch (connection.reader.feed({bytes, static_cast<size_t>(size)})) {
    case HttpRequestReader::State::incomplete:
      return;
    case HttpRequestReader::State::bad:
      return answer(connection, {400, "text/plain; charset=utf-8", "bad request\n"}, false);
    case HttpRequestReader::State::too_large:
      return answer(connection, {413, "text/plain; charset=utf-8", "the request is too large\n"}, false);
    case HttpRequestReader::State::complete: {
      const HttpRequest& request = connection.reader.request();
      return answer(connection, handler_(request), request.method == "HEAD");
    }
  }
}

void HttpServer::answer(Connection& connection, const HttpResponse& response, bool head) {
  connection.answered = true;
  connection.deadline_ms = uv_now(loop_) + kPatienceMs;
  auto write = std::make_unique<Write>();
  write->bytes = spelled(response, head);
  write->request.data = write->end.data = write.get();
  uv_buf_t buffer = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
  const int error = uv_write(&write->request, stream(connection.socket), &buffer, 1, [](uv_write_t* w, int status) {
    std::unique_ptr<Write> done(static_cast<Write*>(w->data));
    if (status != 0 || w->handle->data == nullptr) return;
    if (uv_shutdown(&done->end, w->handle, [](uv_shutdown_t* s, int) { delete static_cast<Write*>(s->data); }) == 0)
      static_cast<void>(done.release());  // its end deletes it
  });
  if (error == 0)
    static_cast<void>(write.release());  // the callback deletes it
  else
    connections_.erase(connection.self);
}

void HttpServer::close_late() {
  const uint64_t now = uv_now(loop_);
  std::erase_if(connections_, [&](const Connection& each) { return each.deadline_ms <= now; });
}

}  // namespace smtpscope
