#include "proxy/names/name_resolver.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "config/units.h"

namespace smtpscope {
namespace {

constexpr int kTimeoutMs = 2000, kTries = 2;  // 6 s for each server
constexpr uint64_t kTickMs = 1000;
constexpr size_t kShown = 8;

}  // namespace

struct NameResolver::Name {
  SenderSpec spec;
  std::string key;
  std::unique_ptr<AddressSearch> search;  ///< while it is under way
  std::vector<DnsAnswer> answers;         ///< to its questions
  size_t unanswered = 0;
  uint64_t began_ms = 0;
  uint64_t due_ms = 0;  ///< when it is looked up next
  uint64_t retry_ms = kRetryMs;
  bool tried = false, good = false, dropped = false;
  std::string failure, told;
  std::vector<std::string> left_out;
};

NameResolver::NameResolver(uv_loop_t* loop, const std::string& servers, std::function<void()> changed, bool log)
    : changed_(std::move(changed)),
      log_(log),
      loop_(loop),
      timer_(make_timer(loop, this)),
      channel_(loop, servers, kTimeoutMs, kTries) {
  if (!timer_) throw std::runtime_error("no DNS look-ups: the event loop has no timer to give");
}

NameResolver::~NameResolver() = default;

void NameResolver::watch(const std::vector<std::string>& entries) {
  std::map<std::string, std::shared_ptr<Name>> wanted;
  size_t passed_over = 0;
  for (const std::string& entry : entries) {
    const auto spec = parse_sender_spec(entry);
    if (!spec || !spec->has_addresses()) continue;
    const std::string key = spec->key();
    if (wanted.contains(key)) continue;
    if (wanted.size() == kMaxNames) {
      ++passed_over;
      continue;
    }
    if (const auto known = watched_.find(key); known != watched_.end()) {
      wanted.emplace(key, known->second);
      if (known->second->failure.empty()) continue;
      known->second->due_ms = 0;
      known->second->retry_ms = kRetryMs;
      continue;
    }
    auto name = std::make_shared<Name>();
    name->spec = *spec;
    name->key = key;
    wanted.emplace(key, std::move(name));
  }
  if (passed_over > 0 && log_ && !std::exchange(too_many_said_, true))
    spdlog::warn("only {} names of senders are looked up; {} more match nobody", kMaxNames, passed_over);
  const size_t before = names_.size();
  for (auto& [key, name] : watched_) {
    if (wanted.contains(key)) continue;
    name->dropped = true;
    names_.erase(key);
  }
  watched_.swap(wanted);
  if (names_.size() != before) changed_();
  on_tick();
}

void NameResolver::on_tick() {
  uv_update_time(loop_);
  const uint64_t now = uv_now(loop_);
  // A copy: what is found at once may lead to another watch().
  const auto watched = watched_;
  for (const auto& [key, name] : watched) {
    if (under_way_ >= kMaxAtOnce) break;
    if (!name->dropped && !name->search && name->due_ms <= now) begin(name);
  }
  if (watched_.empty())
    uv_timer_stop(timer_.get());
  else if (!uv_is_active(reinterpret_cast<uv_handle_t*>(timer_.get())))
    uv_timer_start(
        timer_.get(),
        [](uv_timer_t* t) {
          if (t->data) static_cast<NameResolver*>(t->data)->on_tick();
        },
        kTickMs, kTickMs);
}

void NameResolver::begin(const std::shared_ptr<Name>& name) {
  ++under_way_;
  name->began_ms = uv_now(loop_);
  name->search = std::make_unique<AddressSearch>(name->spec);
  step(name);
}

void NameResolver::step(const std::shared_ptr<Name>& name) {
  AddressSearch& search = *name->search;
  if (!search.done() && uv_now(loop_) - name->began_ms > kLimitMs)
    search.fail(fmt::format("the look-ups took longer than {}", format_duration_ms(kLimitMs)));
  if (search.done() || name->dropped) return finish(*name);
  const std::vector<DnsQuestion> questions = search.questions();
  name->answers.assign(questions.size(), {});
  name->unanswered = questions.size();
  for (size_t i = 0; i < questions.size(); ++i)
    channel_.ask(questions[i], [this, name, i](DnsAnswer answer) {
      name->answers[i] = std::move(answer);
      if (--name->unanswered > 0) return;
      name->search->answer(name->answers);
      step(name);
    });
}

void NameResolver::finish(Name& name) {
  --under_way_;
  const AddressSearch::Found found = name.search->found();
  name.search.reset();
  name.answers.clear();
  if (!name.dropped) take(name, found);
}

void NameResolver::take(Name& name, const AddressSearch::Found& found) {
  const bool first = !std::exchange(name.tried, true), failed_before = !name.failure.empty();
  name.failure = found.failure;
  const auto known = names_.find(name.key);
  size_t others = 0;
  for (const auto& [key, resolved] : names_)
    if (key != name.key) others += resolved.ranges.size();
  if (name.failure.empty() && others + found.addresses.size() > kMaxRanges)
    name.failure = fmt::format("there is no room for more than {} addresses of all names", kMaxRanges);
  const bool good = name.failure.empty();
  if (good) {
    name.due_ms = uv_now(loop_) + std::clamp(uint64_t{found.ttl_s} * 1000, kLeastMs, kMostMs);
    name.retry_ms = kRetryMs;
  } else {
    name.due_ms = uv_now(loop_) + name.retry_ms;
    name.retry_ms = std::min(2 * name.retry_ms, kMaxRetryMs);
  }
  bool changed = first || failed_before == good;
  if (good || !name.good) {  // the last good answer beats what was found before a failure
    name.left_out = found.left_out;
    ResolvedName resolved{found.addresses.ranges(), good};
    if (!good && (resolved.ranges.empty() || others + resolved.ranges.size() > kMaxRanges)) {
      names_.erase(name.key);
    } else if (known == names_.end() || known->second != resolved) {
      names_[name.key] = std::move(resolved);
      changed = true;
    }
  }
  name.good = name.good || good;
  const auto held = names_.find(name.key);
  const std::vector<AddressRange> none;
  const std::vector<AddressRange>& ranges = held == names_.end() ? none : held->second.ranges;
  std::string text = ranges.empty() ? "no addresses" : ranges_summary(ranges);
  if (!name.left_out.empty()) text += fmt::format("; left out: {}", fmt::join(name.left_out, ", "));
  if (good)
    tell(name, fmt::format("sender {}: {}", name.key, text), false);
  else
    tell(name,
         fmt::format("sender {} cannot be resolved: {}; {}", name.key, name.failure,
                     name.good        ? "its last good answer stays in force: " + text
                     : ranges.empty() ? "it matches nobody until it can"
                                      : "what was found before that is in force: " + text),
         true);
  if (changed) changed_();
}

void NameResolver::tell(Name& name, const std::string& text, bool warn) {
  if (!log_ || name.told == text) return;
  name.told = text;
  if (warn)
    spdlog::warn("{}", text);
  else
    spdlog::info("{}", text);
}

std::vector<NameResolver::State> NameResolver::states() const {
  std::vector<State> states;
  for (const auto& [key, name] : watched_) {
    const auto held = names_.find(key);
    states.push_back({key, name->tried, name->failure, name->good && !name->failure.empty(), name->left_out,
                      held == names_.end() ? 0 : held->second.ranges.size()});
  }
  return states;
}

bool NameResolver::settled() const {
  return std::all_of(watched_.begin(), watched_.end(), [](const auto& each) { return each.second->tried; });
}

NamesNow resolve_now(const std::vector<std::string>& entries, const std::string& servers, uint64_t limit_ms) {
  uv_loop_t loop;
  if (uv_loop_init(&loop) != 0) throw std::runtime_error("no DNS look-ups: out of descriptors or memory");
  NamesNow now;
  {
    NameResolver resolver(
        &loop, servers, [] {}, false);
    const auto limit = make_timer(&loop, &loop);
    bool over = false;
    if (limit) {
      limit->data = &over;
      uv_timer_start(
          limit.get(),
          [](uv_timer_t* t) {
            if (t->data) *static_cast<bool*>(t->data) = true;
          },
          limit_ms, 0);
    }
    resolver.watch(entries);
    while (!resolver.settled() && limit && !over) uv_run(&loop, UV_RUN_ONCE);
    now = {resolver.names(), resolver.states()};
  }
  uv_run(&loop, UV_RUN_DEFAULT);  // lets the handles close
  uv_loop_close(&loop);
  for (NameResolver::State& state : now.states)
    if (!state.tried) state.failure = fmt::format("no answer within {}", format_duration_ms(limit_ms));
  return now;
}

std::string ranges_summary(const std::vector<AddressRange>& ranges) {
  std::string text;
  for (size_t i = 0; i < std::min(ranges.size(), kShown); ++i) {
    if (i > 0) text += ", ";
    text += ranges[i].first.to_string();
    if (ranges[i].first != ranges[i].last) text.append("-").append(ranges[i].last.to_string());
  }
  if (ranges.size() > kShown) text += fmt::format(" and {} more", ranges.size() - kShown);
  return text;
}

}  // namespace smtpscope
