/* Output by semihosting, which QEMU and debug probes serve. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

/* Prints a text that ends with a zero. */
void print(const char *text);

/* Prints a text of this length. */
void print_part(const char *text, size_t length);

/* Prints the bits of a float as eight hexadecimal digits, and a space. */
void print_bits(float value);

/* Prints a number, and a space. */
void print_number(uint32_t number);

/* Ends the program, with this status of QEMU. */
void stop(int status) __attribute__((noreturn));

#if defined(__cplusplus)
}
#endif

#endif
