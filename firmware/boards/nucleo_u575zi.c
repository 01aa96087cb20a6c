/* SPDX-License-Identifier: Apache-2.0 */
/** @file nucleo_u575zi.c
 *  NUCLEO-U575ZI-Q: STM32U575ZI at 160 MHz from the internal 16 MHz oscillator through PLL1; USART1 on PA9 (transmit) and
 *  PA10 (receive), which the on-board ST-LINK shows as its virtual COM port (UM2861). Chapters are of the reference manual
 *  RM0456. TrustZone is off (TZEN 0), as the part is delivered, so peripherals have their non-secure addresses.
 *
 *  The internal oscillator needs nothing on the board and is trimmed to 1 %; the linear regulator is what the part wakes
 *  up with. Counts of cycles are exact whatever the oscillator's error; microseconds carry it. */
#include "te_stm32.h"
#include "te_stm32_usart.h"

/* "Reset and clock control (RCC)". */
#define TE_RCC_CR TE_REGISTER(0x46020C00u)
#define TE_RCC_CFGR1 TE_REGISTER(0x46020C1Cu)
#define TE_RCC_CFGR2 TE_REGISTER(0x46020C20u)
#define TE_RCC_CFGR3 TE_REGISTER(0x46020C24u)
#define TE_RCC_PLL1CFGR TE_REGISTER(0x46020C28u)
#define TE_RCC_PLL1DIVR TE_REGISTER(0x46020C34u)
#define TE_RCC_AHB2ENR1 TE_REGISTER(0x46020C8Cu)
#define TE_RCC_AHB3ENR TE_REGISTER(0x46020C94u)
#define TE_RCC_APB2ENR TE_REGISTER(0x46020CA4u)
#define TE_RCC_CR_HSION (1u << 8)
#define TE_RCC_CR_HSIRDY (1u << 10)
#define TE_RCC_CR_PLL1ON (1u << 24)
#define TE_RCC_CR_PLL1RDY (1u << 25)
#define TE_RCC_CFGR1_SW 3u
#define TE_RCC_CFGR1_SW_HSI 1u
#define TE_RCC_CFGR1_SW_PLL1 3u
#define TE_RCC_CFGR1_SWS (3u << 2)
#define TE_RCC_CFGR1_SWS_HSI (1u << 2)
#define TE_RCC_CFGR1_SWS_PLL1 (3u << 2)
#define TE_RCC_CFGR2_PRESCALERS (15u | (7u << 4) | (7u << 8))
#define TE_RCC_CFGR3_PRESCALER (7u << 4)
/* PLL1SRC is the internal oscillator, PLL1RGE 0 an input of 4 to 8 MHz; output R alone, no fraction. PLL1MBOOST divides
 * the same oscillator for the voltage booster: 0, 1, 2 for 1, 2, 4. */
#define TE_RCC_PLL1CFGR_VALUE \
    (2u | ((TE_CLOCK_PLL_M - 1u) << 8) | ((TE_CLOCK_BOOSTER_DIVIDER / 2u) << 12) | (1u << 18))
#define TE_RCC_PLL1DIVR_VALUE ((TE_CLOCK_PLL_N - 1u) | (1u << 9) | (1u << 16) | ((TE_CLOCK_PLL_DIVIDER - 1u) << 24))
#define TE_RCC_AHB2ENR1_GPIOA (1u << 0)
#define TE_RCC_AHB3ENR_PWR (1u << 2)
#define TE_RCC_APB2ENR_USART1 (1u << 14)

#if TE_CLOCK_OSCILLATOR_HZ / TE_CLOCK_PLL_M < 4000000u || TE_CLOCK_OSCILLATOR_HZ / TE_CLOCK_PLL_M > 8000000u
#error "PLL1 is set for an input of 4 to 8 MHz"
#endif

/* "Power control (PWR)". */
#define TE_PWR_VOSR TE_REGISTER(0x4602080Cu)
#define TE_PWR_VOSR_BOOSTRDY (1u << 14)
#define TE_PWR_VOSR_VOSRDY (1u << 15)
#define TE_PWR_VOSR_VOS_RANGE_1 (3u << 16)
#define TE_PWR_VOSR_BOOSTEN (1u << 18)

/* "Embedded flash memory (FLASH)". */
#define TE_FLASH_ACR TE_REGISTER(0x40022000u)
#define TE_FLASH_ACR_LATENCY 15u
#define TE_FLASH_ACR_PREFETCH (1u << 8)

/* "Instruction cache (ICACHE)": it serves code and constants in the flash; RAM needs no cache. */
#define TE_ICACHE_CR TE_REGISTER(0x40030400u)
#define TE_ICACHE_SR TE_REGISTER(0x40030404u)
#define TE_ICACHE_CR_EN (1u << 0)
#define TE_ICACHE_SR_BUSYF (1u << 0)

#define TE_GPIOA ((te_stm32_gpio *)0x42020000u)
#define TE_SERIAL ((te_stm32_usart *)0x40013800u) /* USART1. */
#define TE_USART1_FUNCTION 7u /* Data sheet DS13737, "alternate function". */

#include "te_stm32_board.h"

#ifdef TE_UNIQUE_ID_ORIGIN
static uint32_t te_unique_id[TE_UNIQUE_ID_WORDS];

/* Before the cache, which would serve these addresses too. */
static void te_read_unique_id(void) {
    for (uint32_t i = 0; i < TE_UNIQUE_ID_WORDS; i++) {
        te_unique_id[i] = TE_REGISTER(TE_UNIQUE_ID_ORIGIN + 4u * i);
    }
}

const uint32_t *te_board_unique_id(void) {
    return te_unique_id;
}
#endif

/* To the 16 MHz oscillator, whatever clock there was: 4 MHz after reset, or what a boot loader left. */
static bool te_start_oscillator(void) {
    TE_RCC_CR |= TE_RCC_CR_HSION;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_HSIRDY, TE_RCC_CR_HSIRDY)) {
        return false;
    }
    TE_RCC_CFGR1 = (TE_RCC_CFGR1 & ~TE_RCC_CFGR1_SW) | TE_RCC_CFGR1_SW_HSI;
    return te_stm32_wait(&TE_RCC_CFGR1, TE_RCC_CFGR1_SWS, TE_RCC_CFGR1_SWS_HSI);
}

static bool te_raise_voltage(void) {
    te_stm32_enable(&TE_RCC_AHB3ENR, TE_RCC_AHB3ENR_PWR);
    TE_PWR_VOSR |= TE_PWR_VOSR_VOS_RANGE_1;
    return te_stm32_wait(&TE_PWR_VOSR, TE_PWR_VOSR_VOSRDY, TE_PWR_VOSR_VOSRDY);
}

/* Leaves the processor on the 16 MHz oscillator, and returns false, where a step does not come. Above 55 MHz the booster
 * has to be ready before the clock rises, and its divider and source are set before it is switched on. */
static bool te_start_pll(void) {
    TE_RCC_CR &= ~TE_RCC_CR_PLL1ON;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_PLL1RDY, 0u)) {
        return false;
    }
    TE_RCC_PLL1CFGR = TE_RCC_PLL1CFGR_VALUE;
    TE_PWR_VOSR |= TE_PWR_VOSR_BOOSTEN;
    if (!te_stm32_wait(&TE_PWR_VOSR, TE_PWR_VOSR_BOOSTRDY, TE_PWR_VOSR_BOOSTRDY)) {
        return false;
    }
    TE_RCC_PLL1DIVR = TE_RCC_PLL1DIVR_VALUE;
    TE_RCC_CR |= TE_RCC_CR_PLL1ON;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_PLL1RDY, TE_RCC_CR_PLL1RDY)) {
        return false;
    }
    TE_FLASH_ACR = TE_CLOCK_FLASH_WAIT_STATES | TE_FLASH_ACR_PREFETCH;
    if (!te_stm32_wait(&TE_FLASH_ACR, TE_FLASH_ACR_LATENCY, TE_CLOCK_FLASH_WAIT_STATES)) {
        return false;
    }
    TE_RCC_CFGR2 = (TE_RCC_CFGR2 & ~TE_RCC_CFGR2_PRESCALERS) | TE_STM32_AHB_BITS(TE_CLOCK_AHB_DIVIDER) |
                   (TE_STM32_APB_BITS(TE_CLOCK_APB1_DIVIDER) << 4) | (TE_STM32_APB_BITS(TE_CLOCK_APB2_DIVIDER) << 8);
    TE_RCC_CFGR3 = (TE_RCC_CFGR3 & ~TE_RCC_CFGR3_PRESCALER) | (TE_STM32_APB_BITS(TE_CLOCK_APB3_DIVIDER) << 4);
    TE_RCC_CFGR1 |= TE_RCC_CFGR1_SW_PLL1;
    if (!te_stm32_wait(&TE_RCC_CFGR1, TE_RCC_CFGR1_SWS, TE_RCC_CFGR1_SWS_PLL1)) {
        TE_RCC_CFGR1 = (TE_RCC_CFGR1 & ~TE_RCC_CFGR1_SW) | TE_RCC_CFGR1_SW_HSI;
        TE_RCC_CFGR2 &= ~TE_RCC_CFGR2_PRESCALERS;
        return false;
    }
    return true;
}

/* After reset the cache empties itself; it is switched on when it has. */
static void te_start_cache(void) {
    if (te_stm32_wait(&TE_ICACHE_SR, TE_ICACHE_SR_BUSYF, 0u)) {
        TE_ICACHE_CR |= TE_ICACHE_CR_EN;
    }
}

void te_board_init(void) {
#ifdef TE_UNIQUE_ID_ORIGIN
    te_read_unique_id();
#endif
    te_start_cache();
    te_on_pll = te_start_oscillator() && te_raise_voltage() && te_start_pll();
    te_stm32_enable(&TE_RCC_AHB2ENR1, TE_RCC_AHB2ENR1_GPIOA);
    te_stm32_enable(&TE_RCC_APB2ENR, TE_RCC_APB2ENR_USART1);
    te_stm32_start_serial();
    te_stm32_serial_pin(TE_GPIOA, 9, TE_USART1_FUNCTION);
    te_stm32_serial_pin(TE_GPIOA, 10, TE_USART1_FUNCTION);
    te_cortexm_start_counter();
}

const char *te_board_clock_source(void) {
    return te_on_pll ? "PLL from HSI16" : "HSI16 (the PLL did not start)";
}
