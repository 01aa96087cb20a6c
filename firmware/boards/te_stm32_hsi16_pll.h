/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_stm32_hsi16_pll.h
 *  The clocks of the STM32L4+, G4 and WB: from the internal 16 MHz oscillator to the PLL. Their bits lie alike (RM0432,
 *  "Reset and clock control (RCC)"; ST's stm32g474xx.h and stm32wb55xx.h); a file includes this once it has said where the
 *  registers are, TE_RCC_CR, TE_RCC_CFGR and TE_RCC_PLLCFGR, what goes into the last, TE_RCC_PLLCFGR_VALUE, and TE_SERIAL. */
#ifndef TE_STM32_HSI16_PLL_H
#define TE_STM32_HSI16_PLL_H

#include <stdbool.h>

#include "te_stm32.h"
#include "te_stm32_board.h"

#define TE_RCC_CR_HSION (1u << 8)
#define TE_RCC_CR_HSIRDY (1u << 10)
#define TE_RCC_CR_PLLON (1u << 24)
#define TE_RCC_CR_PLLRDY (1u << 25)
#define TE_RCC_CFGR_SW 3u
#define TE_RCC_CFGR_SW_HSI 1u
#define TE_RCC_CFGR_SW_PLL 3u
#define TE_RCC_CFGR_SWS (3u << 2)
#define TE_RCC_CFGR_SWS_HSI (1u << 2)
#define TE_RCC_CFGR_SWS_PLL (3u << 2)
#define TE_RCC_CFGR_PRESCALERS ((15u << 4) | (7u << 8) | (7u << 11))

/** To the 16 MHz oscillator, whatever clock the reset or a boot loader left; false where it does not come. */
static bool te_start_oscillator(void) {
    TE_RCC_CR |= TE_RCC_CR_HSION;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_HSIRDY, TE_RCC_CR_HSIRDY)) {
        return false;
    }
    TE_RCC_CFGR = (TE_RCC_CFGR & ~TE_RCC_CFGR_SW) | TE_RCC_CFGR_SW_HSI;
    return te_stm32_wait(&TE_RCC_CFGR, TE_RCC_CFGR_SWS, TE_RCC_CFGR_SWS_HSI);
}

/** Lets the PLL lock; the processor still runs from the oscillator. */
static bool te_lock_pll(void) {
    TE_RCC_CR &= ~TE_RCC_CR_PLLON;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_PLLRDY, 0u)) {
        return false;
    }
    TE_RCC_PLLCFGR = TE_RCC_PLLCFGR_VALUE;
    TE_RCC_CR |= TE_RCC_CR_PLLON;
    return te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_PLLRDY, TE_RCC_CR_PLLRDY);
}

/** To the locked PLL; back to the oscillator, undivided, and false where it does not come. */
static bool te_switch_to_pll(void) {
    TE_RCC_CFGR |= TE_RCC_CFGR_SW_PLL;
    if (!te_stm32_wait(&TE_RCC_CFGR, TE_RCC_CFGR_SWS, TE_RCC_CFGR_SWS_PLL)) {
        TE_RCC_CFGR = (TE_RCC_CFGR & ~(TE_RCC_CFGR_SW | TE_RCC_CFGR_PRESCALERS)) | TE_RCC_CFGR_SW_HSI;
        return false;
    }
    return true;
}

const char *te_board_clock_source(void) {
    return te_on_pll ? "PLL from HSI16" : "HSI16 (the PLL did not start)";
}

#endif /* TE_STM32_HSI16_PLL_H */
