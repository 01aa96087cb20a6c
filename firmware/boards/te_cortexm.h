/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cortexm.h
 *  What the board files need of the code that all Cortex-M boards share. */
#ifndef TE_CORTEXM_H
#define TE_CORTEXM_H

#include <stdint.h>

/** A peripheral's register. */
#define TE_REGISTER(address) (*(volatile uint32_t *)(address))

/** How often a ready flag is read before the wait is given up: some milliseconds at any clock. */
#define TE_READY_TRIES 50000u

/** Completes all accesses to memory before the next one. */
static inline void te_cortexm_barrier(void) {
    __asm__ volatile("dsb" ::: "memory");
}
/** Called at reset before anything is written to RAM, so without a stack: written in assembly, in r0 to r3. The one in
 *  te_cortexm.c does nothing; a board whose RAM is not ready after reset has its own. */
void te_board_before_ram(void);

/** Starts SysTick on the processor's clock and the cycle counter where there is one; the clock is final before. */
void te_cortexm_start_counter(void);

#endif /* TE_CORTEXM_H */
