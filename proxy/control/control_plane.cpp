#include "proxy/control/control_plane.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <exception>
#include <nlohmann/json.hpp>
#include <utility>

#include "capture/transcript/text_page.h"
#include "proxy/control/metrics.h"
#include "proxy/version.h"

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

constexpr uint64_t kLookMs = 200;  // how late the end of a window may be noticed
constexpr const char* kHeld = "an upgrade is under way; say it again in a moment, to the process that takes over";
constexpr unsigned kTicksASocket = 5;  // between looks whether the socket is still there

std::string dump(const json& j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

int status_of(WindowKeeper::Refusal::Why why) {
  switch (why) {
    case WindowKeeper::Refusal::Why::request:
      return 422;
    case WindowKeeper::Refusal::Why::busy:
      return 409;
    case WindowKeeper::Refusal::Why::unknown:
      return 404;
    case WindowKeeper::Refusal::Why::store:
      break;
  }
  return 500;
}

HttpResponse answer_of(const WindowKeeper::Answer& answer, int status) {
  if (answer.refusal) return error_response(status_of(answer.refusal->why), answer.refusal->message);
  return json_response(status, dump(answer.window));
}

}  // namespace

ControlPlane::ControlPlane(Proxy& proxy, WindowKeeper& windows, Reload reload, Fd listener, std::string token)
    : proxy_(proxy),
      windows_(windows),
      reload_(std::move(reload)),
      listener_(std::move(listener)),
      token_(std::move(token)) {}

void ControlPlane::begin(uv_loop_t* loop, std::function<std::string()> trouble) {
  loop_ = loop;
  trouble_ = std::move(trouble);
  windows_.look();
  serve_socket();
  if (listener_) {
    address_socket_ = listener_.get();
    by_address_ = serve(std::move(listener_), {false, token_});
    if (!by_address_) address_socket_ = -1;
  }
  timer_ = make_timer(loop, this);
  uv_timer_start(
      timer_.get(),
      [](uv_timer_t* t) {
        if (t->data != nullptr) static_cast<ControlPlane*>(t->data)->on_timer();
      },
      kLookMs, kLookMs);
}

std::unique_ptr<HttpServer> ControlPlane::serve(Fd socket, ControlAccess access) {
  try {
    return std::make_unique<HttpServer>(
        loop_, std::move(socket),
        [this, access = std::move(access)](const HttpRequest& request) { return respond(request, access); });
  } catch (const std::exception& e) {
    spdlog::error("{}; mail goes on without it", e.what());
    return nullptr;
  }
}

void ControlPlane::serve_socket() {
  socket_ = std::make_unique<ControlSocket>(proxy_.settings().store.path);
  Result<Fd> bound = socket_->bind();
  if (bound) by_socket_ = serve(std::move(*bound), {true, {}});
  if (!bound && !std::exchange(socket_failed_, true))
    spdlog::warn("{}; commands like `smtpscope window` do not reach this proxy there", bound.error());
}

void ControlPlane::on_timer() {
  windows_.look();
  if (++ticks_ % kTicksASocket == 0 && socket_ && !proxy_.store().behind()) look_after_socket();
}

/// Another process of the same store may have come, or gone and its socket with it.
void ControlPlane::look_after_socket() {
  using Place = ControlSocket::Place;
  const auto place = std::make_shared<std::atomic<Place>>(Place::ours);
  proxy_.store().run([place, look = socket_->place()] { *place = look(); });
  if (*place == Place::nobodys) serve_socket();
  const bool anothers = *place == Place::anothers;
  if (anothers && !std::exchange(told_, true) && !draining_)
    spdlog::warn(
        "another process runs with this store and has taken {}: commands like `smtpscope window` reach that one",
        control_socket_path(proxy_.settings().store.path));
  told_ = anothers;
}

void ControlPlane::reload() {
  if (draining_) return;
  if (held_) {
    spdlog::warn("{}", kHeld);
    return;
  }
  reload_();
  windows_.look();
}

void ControlPlane::drain() {
  draining_ = true;
  windows_.drain();
}

void ControlPlane::step_aside() {
  by_socket_.reset();
  by_address_.reset();
  address_socket_ = -1;
  socket_.reset();
}

void ControlPlane::end() {
  step_aside();
  timer_.reset();
}

std::string ControlPlane::windows_in_short() const {
  std::string all;
  for (const WindowKeeper::Count& count : windows_.counts())
    all += fmt::format("{}window {}: {}", all.empty() ? "" : ", ", count.id, counted(count.sessions, "session"));
  return all.empty() ? "no window is open" : all;
}

HttpResponse ControlPlane::respond(const HttpRequest& request, const ControlAccess& access) {
  return control_response(
      request, access, {proxy_.accepts(), trouble_()},
      {[this] { return metrics(); },
       [this] {
         windows_.look();  // what is over is told in the store before the answer says that it is not open
         return json_response(200, dump({{"schema", "smtpscope.windows/1"}, {"windows", windows_.list()}}));
       },
       [this](const std::string& body) {
         if (held_) return error_response(409, kHeld);
         const auto wanted = read_window_request(body);
         return wanted ? answer_of(windows_.open(*wanted), 201) : error_response(422, wanted.error());
       },
       [this](const std::string& id) { return answer_of(windows_.close(id), 200); },
       [this] { return answer_reload(); }});
}

HttpResponse ControlPlane::answer_reload() {
  if (draining_) return error_response(409, "the proxy is stopping");
  if (held_) return error_response(409, kHeld);
  const ReloadOutcome outcome = reload_();
  windows_.look();
  return json_response(outcome.loaded ? 200 : 422,
                       dump({{"loaded", outcome.loaded}, {outcome.loaded ? "kept" : "faults", outcome.messages}}));
}

std::string ControlPlane::metrics() const {
  MetricsView view{proxy_.metrics(), proxy_.refusals(), proxy_.recorder_backlogs(), version(), {}, windows_.ended()};
  for (const WindowKeeper::Count& count : windows_.counts()) view.windows.emplace_back(count.id, count.sessions);
  return metrics_text(view);
}

}  // namespace smtpscope
