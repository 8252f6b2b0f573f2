#include <cstdio>

int main() {
  std::puts("smtpscope");
  return 0;
}
