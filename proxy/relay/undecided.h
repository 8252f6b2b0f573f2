// Sessions of which only the sender's name tells whether they are captured (".partner.example"): they are relayed like
// all others, the recorder holds what they say in memory, and the name is looked up beside them. Then the recorder is
// told to keep it, or to forget it. Belongs to one worker, on its loop.
//
// Nothing waits longer than the look-up may take. Without an answer it is forgotten: nobody has been named.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/ip.h"
#include "proxy/names/confirmed_names.h"
#include "proxy/relay/batch.h"

namespace smtpscope {

class Worker;
struct RelayContext;

class Undecided {
 public:
  static constexpr size_t kMost = 2048;  ///< sessions that wait, of one worker

  /// `resolver`: "ADDRESS:PORT", empty: the system's. Throws std::runtime_error if there can be no look-ups.
  Undecided(Worker& worker, const std::string& resolver);
  ~Undecided();

  const std::string& resolver() const { return resolver_; }
  bool empty() const { return count_ == 0; }
  bool full() const { return count_ >= kMost; }
  /// The names of an address that was asked for lately; null if they have to be looked up.
  const ConfirmedNames* known(const IpAddress& ip) const { return look_ups_.known(ip); }
  /// `capture` is of the session with this number, which may end meanwhile; its first record was sent.
  void add(const IpAddress& ip, uint64_t number, CaptureSession* capture, std::shared_ptr<const RelayContext> context);
  /// Forgets all that wait.
  void end();

 private:
  struct Waiting {
    uint64_t number;
    CaptureSession* capture;
    std::shared_ptr<const RelayContext> context;
  };

  void told(const IpAddress& ip, const ConfirmedNames& names);

  Worker& worker_;
  std::string resolver_;
  std::map<IpAddress, std::vector<Waiting>> waiting_;
  size_t count_ = 0;
  ConfirmedNameLookUps look_ups_;
};

}  // namespace smtpscope
