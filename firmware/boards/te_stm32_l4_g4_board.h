/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_stm32_l4_g4_board.h
 *  What boards of the STM32L4+ and the STM32G4 have alike: from the internal 16 MHz oscillator through the PLL, in range 1
 *  boost mode, the serial port on LPUART1. A board's file includes this once it has said what of FLASH_ACR stays as
 *  it is, TE_FLASH_ACR_KEPT, and adds te_board_init(). Chapters are of the reference manual RM0432; that they hold for the
 *  STM32G4 is ST's stm32g474xx.h. */
#ifndef TE_STM32_L4_G4_BOARD_H
#define TE_STM32_L4_G4_BOARD_H

#include "te_stm32.h"
#include "te_stm32_usart.h"

/* "Reset and clock control (RCC)". */
#define TE_RCC_CR TE_REGISTER(0x40021000u)
#define TE_RCC_CFGR TE_REGISTER(0x40021008u)
#define TE_RCC_PLLCFGR TE_REGISTER(0x4002100Cu)
#define TE_RCC_AHB2ENR TE_REGISTER(0x4002104Cu)
#define TE_RCC_APB1ENR1 TE_REGISTER(0x40021058u)
#define TE_RCC_APB1ENR2 TE_REGISTER(0x4002105Cu)
#define TE_RCC_CFGR_HPRE (15u << 4)
/* From the internal oscillator, output R alone. */
#define TE_RCC_PLLCFGR_VALUE \
    (2u | ((TE_CLOCK_PLL_M - 1u) << 4) | (TE_CLOCK_PLL_N << 8) | (1u << 24) | ((TE_CLOCK_PLL_DIVIDER / 2u - 1u) << 25))
#define TE_RCC_APB1ENR1_PWR (1u << 28)
#define TE_RCC_APB1ENR2_LPUART1 (1u << 0)

/* "Power control (PWR)". */
#define TE_PWR_CR1 TE_REGISTER(0x40007000u)
#define TE_PWR_SR2 TE_REGISTER(0x40007014u)
#define TE_PWR_CR5 TE_REGISTER(0x40007080u)
#define TE_PWR_CR1_VOS (3u << 9)
#define TE_PWR_CR1_VOS_RANGE_1 (1u << 9)
#define TE_PWR_SR2_VOSF (1u << 10)
#define TE_PWR_CR5_R1MODE (1u << 8)

/* "Embedded Flash memory (FLASH)". */
#define TE_FLASH_ACR TE_REGISTER(0x40022000u)
#define TE_FLASH_ACR_LATENCY 15u
#define TE_FLASH_ACR_PREFETCH_AND_CACHES (7u << 8)

#define TE_SERIAL ((te_stm32_usart *)0x40008000u) /* LPUART1. */

#include "te_stm32_hsi16_pll.h"
#include "te_unique_id.h"

/* "Range 1 boost mode" in the chapter on PWR: needed above 80 MHz on the L4+, above 150 MHz on the G4
 * (stm32g4xx_hal_pwr_ex.c: HAL_PWREx_ControlVoltageScaling). */
static bool te_raise_voltage(void) {
    te_stm32_enable(&TE_RCC_APB1ENR1, TE_RCC_APB1ENR1_PWR);
    TE_PWR_CR1 = (TE_PWR_CR1 & ~TE_PWR_CR1_VOS) | TE_PWR_CR1_VOS_RANGE_1;
    if (!te_stm32_wait(&TE_PWR_SR2, TE_PWR_SR2_VOSF, 0u)) {
        return false;
    }
    TE_PWR_CR5 &= ~TE_PWR_CR5_R1MODE;
    return true;
}

/* Leaves the processor on the 16 MHz oscillator, and returns false, where a step does not come. */
static bool te_start_pll(void) {
    if (!te_lock_pll()) {
        return false;
    }
    TE_FLASH_ACR = TE_FLASH_ACR_KEPT | TE_CLOCK_FLASH_WAIT_STATES | TE_FLASH_ACR_PREFETCH_AND_CACHES;
    if (!te_stm32_wait(&TE_FLASH_ACR, TE_FLASH_ACR_LATENCY, TE_CLOCK_FLASH_WAIT_STATES)) {
        return false;
    }
    /* Above 80 MHz the clock rises in two steps, with the AHB divided by 2 for a microsecond between them: each look at a
     * register takes a cycle or more (RM0432, "System clock (SYSCLK) selection"; stm32g4xx_hal_rcc.c:
     * HAL_RCC_ClockConfig). */
    TE_RCC_CFGR = (TE_RCC_CFGR & ~TE_RCC_CFGR_PRESCALERS) | (TE_STM32_AHB_BITS(2u) << 4) |
                  (TE_STM32_APB_BITS(TE_CLOCK_APB1_DIVIDER) << 8) | (TE_STM32_APB_BITS(TE_CLOCK_APB2_DIVIDER) << 11);
    if (!te_switch_to_pll()) {
        return false;
    }
    for (uint32_t i = 0; i < TE_CLOCK_HZ / 1000000u; i++) {
        (void)TE_RCC_CFGR;
    }
    TE_RCC_CFGR = (TE_RCC_CFGR & ~TE_RCC_CFGR_HPRE) | (TE_STM32_AHB_BITS(TE_CLOCK_AHB_DIVIDER) << 4);
    return true;
}

#endif /* TE_STM32_L4_G4_BOARD_H */
