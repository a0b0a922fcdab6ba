#include "fibonacci.h"

uint64_t fibonacci(unsigned n)
{
    uint64_t a = 0, b = 1;
    while (n-- > 0) {
        uint64_t next = a + b;
        a = b;
        b = next;
    }
    return a;
}
