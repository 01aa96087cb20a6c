/* SPDX-License-Identifier: Apache-2.0 */
/** @file nucleo_g0b1re.c
 *  NUCLEO-G0B1RE: STM32G0B1RE at 64 MHz from the internal 16 MHz oscillator through the PLL; USART2 on PA2 (transmit)
 *  and PA3 (receive), which the on-board ST-LINK shows as its virtual COM port (UM2324). Chapters are of the reference
 *  manual RM0444.
 *
 *  The internal oscillator needs nothing on the board and is trimmed to 1 %. Counts of cycles are exact whatever its
 *  error; microseconds carry it. The voltage range 1, which 64 MHz need, is that after reset ("Power control (PWR)"). */
#include "te_stm32.h"
#include "te_stm32_usart.h"

/* "Reset and clock control (RCC)". */
#define TE_RCC_CR TE_REGISTER(0x40021000u)
#define TE_RCC_CFGR TE_REGISTER(0x40021008u)
#define TE_RCC_PLLCFGR TE_REGISTER(0x4002100Cu)
#define TE_RCC_IOPENR TE_REGISTER(0x40021034u)
#define TE_RCC_APBENR1 TE_REGISTER(0x4002103Cu)
#define TE_RCC_CR_HSION (1u << 8)
#define TE_RCC_CR_HSIRDY (1u << 10)
#define TE_RCC_CR_HSIDIV (7u << 11)
#define TE_RCC_CR_PLLON (1u << 24)
#define TE_RCC_CR_PLLRDY (1u << 25)
#define TE_RCC_CFGR_SW 7u
#define TE_RCC_CFGR_SW_PLL 2u
#define TE_RCC_CFGR_SWS (7u << 3)
#define TE_RCC_CFGR_SWS_PLL (2u << 3)
#define TE_RCC_CFGR_PRESCALERS ((15u << 8) | (7u << 12))
/* From the internal oscillator, output R alone. */
#define TE_RCC_PLLCFGR_VALUE \
    (2u | ((TE_CLOCK_PLL_M - 1u) << 4) | (TE_CLOCK_PLL_N << 8) | (1u << 28) | ((TE_CLOCK_PLL_DIVIDER - 1u) << 29))
#define TE_RCC_IOPENR_GPIOA (1u << 0)
#define TE_RCC_APBENR1_USART2 (1u << 17)
#if TE_CLOCK_APB1_DIVIDER != TE_CLOCK_APB2_DIVIDER
#error "one prescaler divides for all peripherals: apb1_divider and apb2_divider have to be the same"
#endif

/* "Embedded flash memory (FLASH)". */
#define TE_FLASH_ACR TE_REGISTER(0x40022000u)
#define TE_FLASH_ACR_LATENCY 7u
#define TE_FLASH_ACR_DEBUGGER (1u << 18) /* DBG_SWEN; written as it is. */
#define TE_FLASH_ACR_PREFETCH_AND_CACHE (3u << 8)

#define TE_GPIOA ((te_stm32_gpio *)0x50000000u)
#define TE_SERIAL ((te_stm32_usart *)0x40004400u) /* USART2. */
#define TE_USART2_FUNCTION 1u /* Data sheet DS13560, "alternate function mapping". */

#include "te_stm32_board.h"
#include "te_unique_id.h"

/* To the 16 MHz oscillator, undivided, whatever clock there was. */
static bool te_start_oscillator(void) {
    TE_RCC_CR |= TE_RCC_CR_HSION;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_HSIRDY, TE_RCC_CR_HSIRDY)) {
        return false;
    }
    TE_RCC_CR &= ~TE_RCC_CR_HSIDIV;
    TE_RCC_CFGR &= ~TE_RCC_CFGR_SW;
    return te_stm32_wait(&TE_RCC_CFGR, TE_RCC_CFGR_SWS, 0u);
}

/* Leaves the processor on the oscillator, and returns false, where a step does not come. */
static bool te_start_pll(void) {
    TE_RCC_CR &= ~TE_RCC_CR_PLLON;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_PLLRDY, 0u)) {
        return false;
    }
    TE_RCC_PLLCFGR = TE_RCC_PLLCFGR_VALUE;
    TE_RCC_CR |= TE_RCC_CR_PLLON;
    if (!te_stm32_wait(&TE_RCC_CR, TE_RCC_CR_PLLRDY, TE_RCC_CR_PLLRDY)) {
        return false;
    }
    TE_FLASH_ACR =
        (TE_FLASH_ACR & TE_FLASH_ACR_DEBUGGER) | TE_CLOCK_FLASH_WAIT_STATES | TE_FLASH_ACR_PREFETCH_AND_CACHE;
    if (!te_stm32_wait(&TE_FLASH_ACR, TE_FLASH_ACR_LATENCY, TE_CLOCK_FLASH_WAIT_STATES)) {
        return false;
    }
    TE_RCC_CFGR = (TE_RCC_CFGR & ~TE_RCC_CFGR_PRESCALERS) | (TE_STM32_AHB_BITS(TE_CLOCK_AHB_DIVIDER) << 8) |
                  (TE_STM32_APB_BITS(TE_CLOCK_APB1_DIVIDER) << 12);
    TE_RCC_CFGR |= TE_RCC_CFGR_SW_PLL;
    if (!te_stm32_wait(&TE_RCC_CFGR, TE_RCC_CFGR_SWS, TE_RCC_CFGR_SWS_PLL)) {
        TE_RCC_CFGR &= ~(TE_RCC_CFGR_SW | TE_RCC_CFGR_PRESCALERS);
        return false;
    }
    return true;
}

void te_board_init(void) {
    te_on_pll = te_start_oscillator() && te_start_pll();
    te_stm32_enable(&TE_RCC_IOPENR, TE_RCC_IOPENR_GPIOA);
    te_stm32_enable(&TE_RCC_APBENR1, TE_RCC_APBENR1_USART2);
    te_stm32_start_serial();
    te_stm32_serial_pin(TE_GPIOA, 2, TE_USART2_FUNCTION);
    te_stm32_serial_pin(TE_GPIOA, 3, TE_USART2_FUNCTION);
    te_cortexm_start_counter();
}

const char *te_board_clock_source(void) {
    return te_on_pll ? "PLL from HSI16" : "HSI16 (the PLL did not start)";
}
