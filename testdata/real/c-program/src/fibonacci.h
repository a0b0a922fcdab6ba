#ifndef FIBONACCI_H
#define FIBONACCI_H

#include <stdint.h>

/* The largest index whose number fits 64 bits. */
#define FIBONACCI_LAST 93

/* The number of index n, which is at most FIBONACCI_LAST. */
uint64_t fibonacci(unsigned n);

#endif
