// Linked into the sanitized addon: 4242 bytes that nobody can free. The leak check must find exactly these.
#include <cstdint>

namespace {

struct Planted {
  Planted() {
    // Kept only with all bits flipped: no pointer to it is left anywhere.
    hidden = ~reinterpret_cast<uintptr_t>(new char[4242]);
  }
  volatile uintptr_t hidden = 0;
};

Planted planted;

}  // namespace
