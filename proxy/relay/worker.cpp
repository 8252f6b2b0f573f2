#include "proxy/relay/worker.h"

#include <spdlog/spdlog.h>

#include <cassert>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "capture/store/instance.h"
#include "config/units.h"
#include "proxy/clock.h"
#include "proxy/relay/gateway_leg.h"

namespace smtpscope {
namespace {

constexpr uint64_t kFlushMs = 20;    // how old a record may get before the recorder has it
constexpr uint64_t kResumeMs = 100;  // after descriptors ran out
constexpr uint64_t kLookMs = 500;    // between looks at sessions in progress
constexpr int kAcceptsAtOnce = 64;
constexpr int kAcceptsAtEnd = 4096;

bool out_of_descriptors(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

std::string_view policy_name(BodyPolicy body) {
  return body == BodyPolicy::full ? "full" : body == BodyPolicy::headers ? "headers" : "none";
}

template <class T>
Worker& worker_of(T* handle) {
  return *static_cast<Worker*>(handle->data);
}

}  // namespace

Worker::Worker(std::shared_ptr<const RelayContext> context, std::vector<ListeningSocket> listeners, BatchQueue& queue)
    : context_(std::move(context)), queue_(queue) {
  if (uv_loop_init(&loop_) != 0) throw std::runtime_error("no event loop: out of descriptors or memory");
  auto wake = std::make_unique<uv_async_t>();
  if (uv_async_init(&loop_, wake.get(), [](uv_async_t* h) {
        if (h->data) worker_of(h).on_request();
      }) != 0)
    throw std::runtime_error("no event loop: out of descriptors or memory");
  wake->data = this;
  wake_.reset(wake.release());
  flush_timer_ = make_timer(&loop_, this);
  resume_timer_ = make_timer(&loop_, this);
  look_timer_ = make_timer(&loop_, this);
  pulse_timer_ = make_timer(&loop_, this);
  poller_ = std::make_unique<Poller>(
      [](void* worker, uint64_t key, uint32_t events) {
        auto& sessions = static_cast<Worker*>(worker)->sessions_;
        if (const auto it = sessions.find(key / 2); it != sessions.end()) it->second->on_ready(key, events);
      },
      this);
  poller_->watch_loop(&loop_);
  for (ListeningSocket& socket : listeners) {
    Listener listener;
    listener.index = socket.index;
    listener.accept = context_->settings->listeners[listener.index].accept;
    listener.own = local_address(socket.fd.get());
    listener.fd = std::move(socket.fd);
    if (listener.accept == Accept::proxy_protocol && !header_wait_)
      header_wait_ = std::make_unique<HeaderWait>(*this, &loop_);
    listeners_.push_back(std::move(listener));
  }
}

Worker::~Worker() { join(); }

void Worker::start() {
  for (Listener& listener : listeners_) {
    listener.worker = this;
    listener.poll = make_poll(&loop_, listener.fd.get(), &listener);
    listen(listener);
  }
  uv_timer_start(
      pulse_timer_.get(),
      [](uv_timer_t* t) {
        if (t->data) worker_of(t).pulse_.beat();
      },
      0, Pulse::kEveryMs);
  thread_ = std::thread([this] { run(); });
}

/// libuv's part runs when it has something to do; a round that only moves sessions' bytes does without it.
void Worker::run() {
  pthread_setname_np(pthread_self(), "relay");
  while (poller_) {
    uv_update_time(&loop_);
    const int timeout_ms = uv_backend_timeout(&loop_);
    if (poller_->wait(timeout_ms) || timeout_ms == 0) uv_run(&loop_, UV_RUN_NOWAIT);
    graveyard_.clear();
  }
  uv_run(&loop_, UV_RUN_DEFAULT);  // closes what is left
  pulse_.end();
  assert(sessions_.empty());
  [[maybe_unused]] const int left = uv_loop_close(&loop_);
  assert(left == 0);
  if (!batch_->empty()) batch_ = queue_.exchange(std::move(batch_));
  queue_.leave();
  done_ = true;
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

std::vector<int> Worker::listening_sockets() const {
  std::vector<int> sockets;
  for (const Listener& listener : listeners_) sockets.push_back(listener.fd.get());
  return sockets;
}

void Worker::wake() {
  const std::lock_guard lock(wake_mutex_);
  if (wake_) uv_async_send(wake_.get());
}

void Worker::reconfigure(std::shared_ptr<const RelayContext> context) {
  {
    const std::lock_guard lock(next_mutex_);
    next_context_ = std::move(context);
    context_waits_ = true;
  }
  wake();
}

void Worker::drain() {
  drain_requested_ = true;
  wake();
}

void Worker::end_now(const char* cause) {
  end_requested_ = cause;
  drain();
}

void Worker::take_context() {
  std::shared_ptr<const RelayContext> next;
  {
    const std::lock_guard lock(next_mutex_);
    next = std::move(next_context_);
    context_waits_ = false;
  }
  if (!next) return;
  if (dns_ && next->settings->dns.resolver != context_->settings->dns.resolver) {
    old_dns_ = std::move(dns_);
    dns_failed_ = false;
  }
  context_ = std::move(next);
}

void Worker::on_request() {
  take_context();
  if (!drain_requested_) return;
  if (std::exchange(accepting_, false)) {
    for (Listener& listener : listeners_) {
      accept_some(listener, kAcceptsAtEnd);
      listener.parked = {};  // no descriptor for it, and nobody will free one: its sender tries again
      listener.poll.reset();
      listener.fd.reset();
    }
  }
  if (const char* cause = end_requested_.load()) {
    std::vector<Session*> all;
    for (auto& [number, session] : sessions_) all.push_back(session.get());
    for (Session* session : all) session->stop(cause);
    if (header_wait_) header_wait_->end();
    if (undecided_) undecided_->end();
  }
  stop_if_done();
}

void Worker::stop_if_done() {
  if (accepting_ || !sessions_.empty() || !wake_ || (header_wait_ && !header_wait_->empty()) ||
      (undecided_ && !undecided_->empty()))
    return;
  flush_batch();
  {
    const std::lock_guard lock(wake_mutex_);
    wake_.reset();
  }
  flush_timer_.reset();
  resume_timer_.reset();
  look_timer_.reset();
  pulse_timer_.reset();
  dns_.reset();
  old_dns_.reset();
  undecided_.reset();
  poller_.reset();
  header_wait_.reset();
}

// ------------------------------------------------------------------ accepting

void Worker::listen(Listener& listener) {
  if (!listener.poll) return;
  uv_poll_start(listener.poll.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
    if (handle->data == nullptr) return;
    Listener& ready = *static_cast<Listener*>(handle->data);
    ready.worker->accept_some(ready, kAcceptsAtOnce);
  });
}

void Worker::accept_some(Listener& listener, int most) {
  if (listener.parked.fd && !begin(listener.parked)) return;
  for (int i = 0; i < most; ++i) {
    Address peer;
    peer.length = sizeof peer.storage;
    Incoming incoming;
    incoming.fd = Fd(accept4(listener.fd.get(), peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!incoming.fd) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (out_of_descriptors(errno)) pause();
      return;
    }
    incoming.sender = endpoint_of(peer);
    if (context_waits_) take_context();  // a window that was opened before it connected takes it
    if (listener.accept == Accept::proxy_protocol) {
      await_header(listener, std::move(incoming));
      continue;
    }
    if (listener.accept == Accept::tproxy) {
      incoming.gateway = diverted_from(incoming.fd.get(), listener.own);
      if (!incoming.gateway) {
        refuse_undiverted(incoming);
        continue;
      }
    }
    if (!begin(incoming)) {
      listener.parked = std::move(incoming);
      return;
    }
  }
}

void Worker::await_header(const Listener& listener, Incoming incoming) {
  const auto address = IpAddress::parse(incoming.sender.ip);
  if (!address || !context_->trusted[listener.index].match(*address))
    return refuse(HeaderRefusals::Why::untrusted, incoming.sender.ip,
                  "it is none of the load balancers in \"trusted\"");
  header_wait_->take(std::move(incoming.fd), std::move(incoming.sender),
                     context_->settings->listeners[listener.index].header_timeout_ms);
}

void Worker::refuse(HeaderRefusals::Why why, const std::string& ip, std::string_view detail) {
  if (const auto line = context_->refusals->refuse(why, ip, detail, uv_hrtime())) spdlog::warn("{}", *line);
}

bool Worker::begin(Incoming& incoming) {
  const Address& to = incoming.gateway ? *incoming.gateway : context_->gateway;
  GatewayLeg leg = open_gateway_leg(to, incoming, context_->settings->gateway.present);
  if (leg.fd < 0 && out_of_descriptors(-leg.fd)) {
    pause();
    return false;
  }
  std::string named = incoming.via ? incoming.sender.ip : "";
  const auto ip = IpAddress::parse(incoming.sender.ip);
  auto capture = ip ? capture_of(incoming, *ip, to, leg) : nullptr;
  CaptureSession* const waits = capture && capture->undecided ? capture.get() : nullptr;
  const uint64_t number = ++numbered_;
  RelayMetrics::add(metrics().sessions_begun);
  if (capture && waits == nullptr) RelayMetrics::add(metrics().captured_begun);
  auto session = std::make_unique<Session>(*this, number, std::move(incoming.fd), std::move(leg), std::move(capture));
  if (!named.empty()) session->named(std::move(named));
  if (look_timer_ && !uv_is_active(reinterpret_cast<uv_handle_t*>(look_timer_.get())))
    uv_timer_start(
        look_timer_.get(),
        [](uv_timer_t* t) {
          if (t->data) worker_of(t).look_around();
        },
        kLookMs, kLookMs);
  Session& started = *session;
  sessions_.emplace(number, std::move(session));
  started.start();
  if (waits != nullptr) undecided_->add(*ip, number, waits, context_);
  return true;
}

std::unique_ptr<CaptureSession> Worker::capture_of(Incoming& incoming, const IpAddress& ip, const Address& gateway,
                                                   const GatewayLeg& leg) {
  const uint64_t icid = context_->gate->next_icid();
  // Who cannot wait for its name has none: it belongs to the windows that take it whatever its names are.
  static const ConfirmedNames kNameless;
  Undecided* const undecided = context_->names_decide ? look_ups() : nullptr;
  const ConfirmedNames* names = undecided != nullptr ? undecided->known(ip) : nullptr;
  const bool crowded = undecided != nullptr && names == nullptr && undecided->full();
  if (names == nullptr && (undecided == nullptr || crowded)) names = &kNameless;
  CaptureGate::Admission admission = CaptureGate::admit(context_->windows, ip, names);
  const bool waits = admission.by_name && names == nullptr;
  if (!admission && admission.by_name && !waits) {
    forgotten(admission, *names, crowded);
    return nullptr;
  }
  if (!admission && !waits) return nullptr;
  auto capture = std::make_unique<CaptureSession>();
  capture->undecided = waits;
  capture->windows = std::move(admission.windows);
  SessionFacts& facts = capture->facts;
  facts.started_us = unix_us();
  facts.id = new_ulid(facts.started_us);
  facts.icid = icid;
  facts.instance = context_->instance;
  facts.sender = std::move(incoming.sender);
  facts.via = std::move(incoming.via);
  facts.syn = syn_of(incoming.fd.get());
  facts.gateway = endpoint_of(gateway);
  facts.sees = leg.sees;
  facts.sees_port = leg.sees_port;
  facts.header = leg.header;
  facts.filter = std::move(admission.entry);
  facts.body_policy = policy_name(context_->settings->capture.body);
  facts.body_limit = context_->settings->capture.body_limit;
  return capture;
}

Undecided* Worker::look_ups() {
  const auto& setting = context_->settings->dns.resolver;
  const std::string resolver = setting ? format_host_port(*setting) : "";
  if (undecided_ && (undecided_->resolver() == resolver || !undecided_->empty())) return undecided_.get();
  try {
    undecided_ = std::make_unique<Undecided>(*this, resolver);
  } catch (const std::exception& e) {
    undecided_.reset();
    if (!std::exchange(dns_failed_, true)) spdlog::warn("{}", e.what());
  }
  return undecided_.get();
}

void Worker::forgotten(const CaptureGate::Admission& admission, const ConfirmedNames& names, bool crowded) {
  using Why = RelayMetrics::Forgotten;
  const Why why = admission.covered ? Why::window : crowded ? Why::room : names.all ? Why::name : Why::dns;
  RelayMetrics::add(metrics().forgotten[static_cast<size_t>(why)]);
  if (why == Why::room && !std::exchange(crowded_, true))
    spdlog::warn(
        "{} sessions wait for their senders' names to be looked up: further ones are relayed without being recorded "
        "(/metrics counts them: forgotten_sessions_total)",
        Undecided::kMost);
}

void Worker::decide(uint64_t number, CaptureSession* capture, const IpAddress& ip, const ConfirmedNames& names,
                    const RelayContext& context) {
  CaptureGate::Admission admission{std::move(capture->facts.filter), std::move(capture->windows)};
  CaptureGate::admit_named(context.windows, ip, names, admission);
  const bool kept = static_cast<bool>(admission);
  if (kept) {
    capture->facts.filter = std::move(admission.entry);
    capture->windows = std::move(admission.windows);
    RelayMetrics::add(metrics().captured_begun);
  } else {
    forgotten(admission, names, false);
    if (const auto session = sessions_.find(number); session != sessions_.end()) session->second->forget();
  }
  append({capture, 0, 0, 0, kept ? BatchRecord::Type::kept : BatchRecord::Type::forgotten, From::proxy, CloseHow::fin});
}

/// To a listener for diverted connections, straight: there is no gateway that it was meant for.
void Worker::refuse_undiverted(const Incoming& incoming) {
  reset_on_close(incoming.fd.get());
  if (std::exchange(undiverted_said_, true)) return;
  spdlog::warn(
      "{} connected straight to a listener for diverted connections (\"accept\": \"tproxy\") and was reset, as all "
      "such connections are; senders have to connect to the gateway's address, and `smtpscope divert status` tells "
      "whether the kernel diverts them",
      incoming.sender.ip);
}

void Worker::pause() {
  if (std::exchange(paused_, true)) return;
  spdlog::warn("out of descriptors: accepting pauses; sessions in progress go on");
  for (Listener& listener : listeners_)
    if (listener.poll) uv_poll_stop(listener.poll.get());
  uv_timer_start(
      resume_timer_.get(),
      [](uv_timer_t* t) {
        if (t->data) worker_of(t).resume();
      },
      kResumeMs, 0);
}

void Worker::resume() {
  paused_ = false;
  if (header_wait_ && !header_wait_->retry()) return;
  for (Listener& listener : listeners_) {
    if (paused_ || !accepting_) return;
    if (listener.parked.fd) accept_some(listener, kAcceptsAtOnce);
    if (!paused_) listen(listener);
  }
}

void Worker::look_around() {
  for (auto& [number, session] : sessions_) session->look_around();
  if (sessions_.empty() && look_timer_) uv_timer_stop(look_timer_.get());
}

std::shared_ptr<const ReverseDns::LookUp> Worker::look_up(const std::string& ip) {
  const DnsSettings& settings = context_->settings->dns;
  if (!settings.look_up || !accepting_) return nullptr;
  try {
    if (!dns_) {
      const auto& resolver = settings.resolver;
      dns_ = std::make_unique<ReverseDns>(&loop_, resolver ? format_host_port(*resolver) : "");
    }
    return dns_->look_up(ip);
  } catch (const std::exception& e) {
    if (!std::exchange(dns_failed_, true)) spdlog::warn("{}", e.what());
    return nullptr;
  }
}

void Worker::retire(uint64_t number) {
  const auto it = sessions_.find(number);
  if (it == sessions_.end()) return;
  graveyard_.push_back(std::move(it->second));
  sessions_.erase(it);
  may_be_done();
}

// ------------------------------------------------------------------ recording

void Worker::flush_batch() {
  if (!batch_->empty()) batch_ = queue_.exchange(std::move(batch_));
}

char* Worker::read_space() {
  if (!batch_->has_room(Batch::kMaxRead)) flush_batch();
  return batch_->space();
}

void Worker::append(const BatchRecord& record) {
  // Data stands in place already; read_space() made sure of the room. Others need only their own.
  if (record.type != BatchRecord::Type::data && !batch_->has_room(0)) flush_batch();
  if (batch_->empty() && flush_timer_)
    uv_timer_start(
        flush_timer_.get(),
        [](uv_timer_t* t) {
          if (t->data) worker_of(t).flush_batch();
        },
        kFlushMs, 0);
  batch_->append(record);
}

}  // namespace smtpscope
