/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_stm32_f2_f4_f7.h
 *  The PLL of STM32F2, STM32F4 and STM32F7 from the internal oscillator: all have these registers at these addresses
 *  ("Reset and clock control", "Power controller" and "Embedded flash memory interface" of RM0033, RM0090, RM0385). */
#ifndef TE_STM32_F2_F4_F7_H
#define TE_STM32_F2_F4_F7_H

#include <stdbool.h>
#include <stdint.h>

#include "te_stm32.h"

#define TE_RCC_CR TE_REGISTER(0x40023800u)
#define TE_RCC_PLLCFGR TE_REGISTER(0x40023804u)
#define TE_RCC_CFGR TE_REGISTER(0x40023808u)
#define TE_RCC_AHB1ENR TE_REGISTER(0x40023830u)
#define TE_RCC_APB1ENR TE_REGISTER(0x40023840u)
#define TE_RCC_APB2ENR TE_REGISTER(0x40023844u)
#define TE_RCC_CR_HSION (1u << 0)
#define TE_RCC_CR_HSIRDY (1u << 1)
#define TE_RCC_CR_PLLON (1u << 24)
#define TE_RCC_CR_PLLRDY (1u << 25)
#define TE_RCC_CFGR_SW 3u
#define TE_RCC_CFGR_SW_PLL 2u
#define TE_RCC_CFGR_SWS (3u << 2)
#define TE_RCC_CFGR_SWS_PLL (2u << 2)
#define TE_RCC_CFGR_PRESCALERS ((15u << 4) | (7u << 10) | (7u << 13))
#define TE_RCC_APB1ENR_PWREN (1u << 28)

/* PLLSRC, bit 22, is 0: the internal oscillator. Q makes the 48 MHz of USB, which is not used. */
#define TE_RCC_PLLCFGR_VALUE \
    (TE_CLOCK_PLL_M | (TE_CLOCK_PLL_N << 6) | ((TE_CLOCK_PLL_DIVIDER / 2u - 1u) << 16) | (TE_CLOCK_PLL_Q << 24))

#define TE_PWR_CR TE_REGISTER(0x40007000u) /* CR1 on F7. */

#define TE_FLASH_ACR TE_REGISTER(0x40023C00u)
#define TE_FLASH_ACR_LATENCY 15u

/** From whatever clock to the internal oscillator, with the PLL locked beside it. */
static inline bool te_stm32_f2_f4_f7_lock_pll(void) {
    TE_RCC_CR |= TE_RCC_CR_HSION;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_HSIRDY, TE_RCC_CR_HSIRDY)) {
        return false;
    }
    /* A boot loader may have left us on the PLL, which can only be set while it is off. */
    TE_RCC_CFGR &= ~TE_RCC_CFGR_SW;
    if (!te_stm32_wait(&TE_RCC_CFGR, TE_RCC_CFGR_SWS, 0u)) {
        return false;
    }
    TE_RCC_CR &= ~TE_RCC_CR_PLLON;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_PLLRDY, 0u)) {
        return false;
    }
    TE_RCC_PLLCFGR = TE_RCC_PLLCFGR_VALUE;
    TE_RCC_CR |= TE_RCC_CR_PLLON;
    return te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_PLLRDY, TE_RCC_CR_PLLRDY);
}

/** From the internal oscillator to the PLL. The wait states are in force, read back, before the clock rises.
 *  @param accelerators  Bits of FLASH_ACR beside the wait states. */
static inline bool te_stm32_f2_f4_f7_switch_to_pll(uint32_t accelerators) {
    TE_FLASH_ACR = TE_CLOCK_FLASH_WAIT_STATES | accelerators;
    if (!te_stm32_wait(&TE_FLASH_ACR, TE_FLASH_ACR_LATENCY, TE_CLOCK_FLASH_WAIT_STATES)) {
        return false;
    }
    TE_RCC_CFGR = (TE_RCC_CFGR & ~TE_RCC_CFGR_PRESCALERS) | (TE_STM32_AHB_BITS(TE_CLOCK_AHB_DIVIDER) << 4) |
                  (TE_STM32_APB_BITS(TE_CLOCK_APB1_DIVIDER) << 10) | (TE_STM32_APB_BITS(TE_CLOCK_APB2_DIVIDER) << 13);
    TE_RCC_CFGR |= TE_RCC_CFGR_SW_PLL;
    if (!te_stm32_wait(&TE_RCC_CFGR, TE_RCC_CFGR_SWS, TE_RCC_CFGR_SWS_PLL)) {
        TE_RCC_CFGR &= ~(TE_RCC_CFGR_SW | TE_RCC_CFGR_PRESCALERS);
        return false;
    }
    return true;
}

#endif /* TE_STM32_F2_F4_F7_H */
