/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cortexm7.h
 *  The caches of a Cortex-M7. Registers as in the ARMv7-M Architecture Reference Manual (DDI 0403E): caches B2.2 and
 *  B4.8, MPU B3.5.
 *
 *  The architecture's own memory map is the right one for the caches: flash below 0x20000000 is write-through, RAM below
 *  0x40000000 is write-back, and peripherals are device memory (B3.1). Nothing but the processor writes RAM here (no DMA),
 *  so nothing has to be kept coherent. What the map gets wrong are 0x60000000 to 0x9FFFFFFF, normal memory by default: the
 *  processor may read ahead there, and where no memory is behind the external bus that can stall it for good. One MPU
 *  region forbids these addresses. */
#ifndef TE_CORTEXM7_H
#define TE_CORTEXM7_H

#include <stdint.h>

#include "te_cortexm.h"

#define TE_SCB_CCR TE_REGISTER(0xE000ED14u)
#define TE_SCB_CCSIDR TE_REGISTER(0xE000ED80u)
#define TE_SCB_CSSELR TE_REGISTER(0xE000ED84u)
#define TE_SCB_ICIALLU TE_REGISTER(0xE000EF50u)
#define TE_SCB_DCISW TE_REGISTER(0xE000EF60u)
#define TE_CCR_DC (1u << 16)
#define TE_CCR_IC (1u << 17)

#define TE_MPU_CTRL TE_REGISTER(0xE000ED94u)
#define TE_MPU_RNR TE_REGISTER(0xE000ED98u)
#define TE_MPU_RBAR TE_REGISTER(0xE000ED9Cu)
#define TE_MPU_RASR TE_REGISTER(0xE000EDA0u)
#define TE_MPU_CTRL_ENABLE_ABOVE_DEFAULT_MAP 5u /* ENABLE and PRIVDEFENA. */
#define TE_MPU_RASR_NO_EXECUTION (1u << 28)
#define TE_MPU_RASR_4_GB (31u << 1)
#define TE_MPU_RASR_ENABLE 1u
/* The eighths of the 4 GB in which the region does not hold: 0 to 0x5FFFFFFF, and 0xE0000000 on. The access bits left at
 * 0 permit nothing, and the type bits left at 0 mean strongly ordered: no reading ahead. */
#define TE_MPU_RASR_NOT_IN_EIGHTHS_0_1_2_7 (0x87u << 8)

static inline void te_cortexm7_barrier(void) {
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

/** Sets the MPU, then switches both caches on; leaves a cache alone that is on already. */
static inline void te_cortexm7_start_caches(void) {
    TE_MPU_CTRL = 0;
    TE_MPU_RNR = 0;
    TE_MPU_RBAR = 0;
    TE_MPU_RASR = TE_MPU_RASR_NO_EXECUTION | TE_MPU_RASR_NOT_IN_EIGHTHS_0_1_2_7 | TE_MPU_RASR_4_GB | TE_MPU_RASR_ENABLE;
    TE_MPU_CTRL = TE_MPU_CTRL_ENABLE_ABOVE_DEFAULT_MAP;
    te_cortexm7_barrier();

    if ((TE_SCB_CCR & TE_CCR_IC) == 0u) {
        TE_SCB_ICIALLU = 0;
        te_cortexm7_barrier();
        TE_SCB_CCR |= TE_CCR_IC;
        te_cortexm7_barrier();
    }
    if ((TE_SCB_CCR & TE_CCR_DC) == 0u) {
        /* What is in the lines after reset is unknown, so each is invalidated by set and way (B4.8.4): CCSIDR tells how
         * many there are of a line of 32 bytes, and a way's number stands at the top of the word. */
        TE_SCB_CSSELR = 0; /* The data cache of level 1. */
        te_cortexm7_barrier();
        const uint32_t sizes = TE_SCB_CCSIDR;
        const uint32_t last_set = (sizes >> 13) & 0x7FFFu;
        const uint32_t last_way = (sizes >> 3) & 0x3FFu;
        for (uint32_t set = 0; set <= last_set; set++) {
            for (uint32_t way = 0; way <= last_way; way++) {
                TE_SCB_DCISW = (way << 30) | (set << 5); /* Four ways on every Cortex-M7: two bits. */
            }
        }
        te_cortexm7_barrier();
        TE_SCB_CCR |= TE_CCR_DC;
        te_cortexm7_barrier();
    }
}

#endif /* TE_CORTEXM7_H */
