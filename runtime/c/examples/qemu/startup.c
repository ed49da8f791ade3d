/* What runs before main on a Cortex-M: the FPU, and the variables. */
#include <stdint.h>
#include <string.h>

#include "semihosting.h"

extern uint32_t stack_top, data_start, data_end, data_load, bss_start, bss_end;

int main(void);
void reset(void);

void reset(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    /* Full access to the coprocessors 10 and 11: the FPU, and the vector extension. */
    *(volatile uint32_t *)0xE000ED88U |= 0xFU << 20;
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    memcpy(&data_start, &data_load, (size_t)((uintptr_t)&data_end - (uintptr_t)&data_start));
    memset(&bss_start, 0, (size_t)((uintptr_t)&bss_end - (uintptr_t)&bss_start));
    stop(main());
}

static void fault(void)
{
    print("fault\n");
    stop(1);
}

/* The stack, the start, and the two faults that a Cortex-M0 has. */
__attribute__((section(".vectors"), used)) static const uintptr_t vectors[4] = {
    (uintptr_t)&stack_top,
    (uintptr_t)reset,
    (uintptr_t)fault,
    (uintptr_t)fault,
};
