#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fibonacci.h"

int main(int argc, char **argv)
{
    char *end;
    unsigned long n;

    if (argc != 2 || (n = strtoul(argv[1], &end, 10), *end) || n > FIBONACCI_LAST) {
        fprintf(stderr, "usage: fibonacci 0..%d (version %s)\n", FIBONACCI_LAST, VERSION);
        return 2;
    }
    printf("fibonacci(%lu) = %" PRIu64 "\n", n, fibonacci((unsigned)n));
    return 0;
}
