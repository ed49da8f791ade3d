#include "semihosting.h"

#include <string.h>

/* Operations of Arm's semihosting. */
#define SYS_WRITE0 0x04U
#define SYS_EXIT 0x18U
#define STOPPED_BY_PROGRAM 0x20026U
#define STOPPED_BY_ERROR 0x20023U

static void semihost(uint32_t operation, uintptr_t argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;

    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void print(const char *text)
{
    semihost(SYS_WRITE0, (uintptr_t)text);
}

void print_part(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        const char one[2] = {text[i], '\0'};

        print(one);
    }
}

void print_bits(float value)
{
    char text[10];
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    for (size_t i = 0; i < 8; i++) {
        text[i] = "0123456789abcdef"[(bits >> (28 - 4 * i)) & 15U];
    }
    text[8] = ' ';
    text[9] = '\0';
    print(text);
}

void print_number(uint32_t number)
{
    char text[12];
    size_t at = sizeof text;

    text[--at] = '\0';
    text[--at] = ' ';
    do {
        text[--at] = (char)('0' + (int)(number % 10U));
        number /= 10U;
    } while (number != 0);
    print(&text[at]);
}

void stop(int status)
{
    semihost(SYS_EXIT, status == 0 ? STOPPED_BY_PROGRAM : STOPPED_BY_ERROR);
    for (;;) {
    }
}
