#include "proxy/windows/shared_counts.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace smtpscope {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;  // it stays as large as whoever maps it believes

bool is_ours(int fd, size_t size) {
  struct stat status {};
  const int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals && fstat(fd, &status) == 0 &&
         static_cast<size_t>(status.st_size) == size;
}

Fd new_memory(size_t size) {
  Fd fd(memfd_create("smtpscope-windows", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(size)) != 0 || fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return {};
  return fd;
}

}  // namespace

SharedCounts::SharedCounts(Fd inherited) {
  constexpr size_t kSize = kPlaces * sizeof(Place);
  memory_ = is_ours(inherited.get(), kSize) ? std::move(inherited) : new_memory(kSize);
  if (!memory_) return;
  fcntl(memory_.get(), F_SETFD, FD_CLOEXEC);
  void* const mapped = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
  if (mapped == MAP_FAILED)
    memory_.reset();
  else
    places_ = {static_cast<Place*>(mapped), [](Place* places) { munmap(places, kSize); }};
}

SharedCounts::Place* SharedCounts::find(uint64_t window, bool& known) {
  known = false;
  if (!places_ || window == 0) return nullptr;
  Place* free = nullptr;
  Place* oldest = nullptr;  // that nobody here has any more; the process before this one ended it long ago, too
  for (size_t i = 0; i < kPlaces; ++i) {
    Place& place = places_.get()[i];
    const uint64_t number = place.window.load();
    if (number == window) {
      known = true;
      return &place;
    }
    if (number == 0 && free == nullptr) free = &place;
    if (number != 0 && in_use_[i].expired() && (oldest == nullptr || number < oldest->window.load())) oldest = &place;
  }
  return free != nullptr ? free : oldest;
}

SharedCounts::Count SharedCounts::count_of(Place* place) {
  Count count(&place->taken, [memory = places_](std::atomic<uint64_t>*) {});
  in_use_[static_cast<size_t>(place - places_.get())] = count;
  return count;
}

SharedCounts::Count SharedCounts::begin(uint64_t window) {
  bool known = false;
  Place* const place = find(window, known);
  if (place == nullptr) return std::make_shared<std::atomic<uint64_t>>(0);
  place->taken = 0;
  place->window = window;
  return count_of(place);
}

SharedCounts::Count SharedCounts::resume(uint64_t window, uint64_t counted) {
  bool known = false;
  Place* const place = find(window, known);
  if (place == nullptr) return std::make_shared<std::atomic<uint64_t>>(counted);
  if (!known) {
    place->taken = counted;
    place->window = window;
  }
  return count_of(place);
}

}  // namespace smtpscope
