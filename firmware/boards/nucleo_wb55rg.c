/* SPDX-License-Identifier: Apache-2.0 */
/** @file nucleo_wb55rg.c
 *  NUCLEO-WB55RG: STM32WB55RG at 64 MHz from the internal 16 MHz oscillator through the PLL; USART1 on PB6 (transmit) and
 *  PB7 (receive), which the on-board ST-LINK shows as its virtual COM port (Zephyr's nucleo_wb55rg.dts). Addresses and bits
 *  are those of ST's stm32wb55xx.h (repository STMicroelectronics/cmsis-device-wb); order and limits those of ST's drivers
 *  (repository STMicroelectronics/stm32wbxx-hal-driver), file by file below.
 *
 *  The radio's processor, a Cortex-M0+, is never started. The internal oscillator needs nothing on the board. Counts of
 *  cycles are exact whatever its error; microseconds carry it. */
#include "te_stm32.h"
#include "te_stm32_usart.h"

/* RCC. */
#define TE_RCC_CR TE_REGISTER(0x58000000u)
#define TE_RCC_CFGR TE_REGISTER(0x58000008u)
#define TE_RCC_PLLCFGR TE_REGISTER(0x5800000Cu)
#define TE_RCC_AHB2ENR TE_REGISTER(0x5800004Cu)
#define TE_RCC_APB2ENR TE_REGISTER(0x58000060u)
#define TE_RCC_EXTCFGR TE_REGISTER(0x58000108u)
/* From the internal oscillator, output R alone. */
#define TE_RCC_PLLCFGR_VALUE \
    (2u | ((TE_CLOCK_PLL_M - 1u) << 4) | (TE_CLOCK_PLL_N << 8) | (1u << 28) | ((TE_CLOCK_PLL_DIVIDER - 1u) << 29))
#define TE_RCC_AHB2ENR_GPIOB (1u << 1)
#define TE_RCC_APB2ENR_USART1 (1u << 14)
/* SHDHPRE divides for the flash and the other processor's bus, C2HPRE for that processor, which takes 32 MHz at most. */
#define TE_RCC_EXTCFGR_PRESCALERS 0xFFu
#define TE_RCC_EXTCFGR_RADIO_HALF (TE_STM32_AHB_BITS(2u) << 4)
#define TE_RCC_EXTCFGR_APPLIED (3u << 16)

/* PWR. */
#define TE_PWR_CR1 TE_REGISTER(0x58000400u)
#define TE_PWR_SR2 TE_REGISTER(0x58000414u)
#define TE_PWR_CR1_VOS (3u << 9)
#define TE_PWR_CR1_VOS_RANGE_1 (1u << 9)
#define TE_PWR_SR2_VOSF (1u << 10)

/* FLASH: bits 15 and 16, which stop the program and say that there is none, are written as they are. */
#define TE_FLASH_ACR TE_REGISTER(0x58004000u)
#define TE_FLASH_ACR_LATENCY 7u
#define TE_FLASH_ACR_KEPT (3u << 15)
#define TE_FLASH_ACR_PREFETCH_AND_CACHES (7u << 8)

#define TE_GPIOB ((te_stm32_gpio *)0x48000400u)
#define TE_SERIAL ((te_stm32_usart *)0x40013800u) /* USART1. */
#define TE_USART1_FUNCTION 7u /* stm32wbxx_hal_gpio_ex.h: GPIO_AF7_USART1. */

#include "te_stm32_hsi16_pll.h"
#include "te_unique_id.h"

/* Range 1 has 64 MHz, range 2 16 MHz (stm32wbxx_hal_pwr_ex.c: HAL_PWREx_ControlVoltageScaling). */
static bool te_raise_voltage(void) {
    TE_PWR_CR1 = (TE_PWR_CR1 & ~TE_PWR_CR1_VOS) | TE_PWR_CR1_VOS_RANGE_1;
    return te_stm32_wait(&TE_PWR_SR2, TE_PWR_SR2_VOSF, 0u);
}

/* Leaves the processor on the oscillator, and returns false, where a step does not come. The order is that of
 * stm32wbxx_hal_rcc.c: HAL_RCC_ClockConfig. */
static bool te_start_pll(void) {
    if (!te_lock_pll()) {
        return false;
    }
    TE_FLASH_ACR = (TE_FLASH_ACR & TE_FLASH_ACR_KEPT) | TE_CLOCK_FLASH_WAIT_STATES | TE_FLASH_ACR_PREFETCH_AND_CACHES;
    if (!te_stm32_wait(&TE_FLASH_ACR, TE_FLASH_ACR_LATENCY, TE_CLOCK_FLASH_WAIT_STATES)) {
        return false;
    }
    TE_RCC_CFGR = (TE_RCC_CFGR & ~TE_RCC_CFGR_PRESCALERS) | (TE_STM32_AHB_BITS(TE_CLOCK_AHB_DIVIDER) << 4) |
                  (TE_STM32_APB_BITS(TE_CLOCK_APB1_DIVIDER) << 8) | (TE_STM32_APB_BITS(TE_CLOCK_APB2_DIVIDER) << 11);
    TE_RCC_EXTCFGR = (TE_RCC_EXTCFGR & ~TE_RCC_EXTCFGR_PRESCALERS) | TE_RCC_EXTCFGR_RADIO_HALF;
    if (!te_stm32_wait(&TE_RCC_EXTCFGR, TE_RCC_EXTCFGR_APPLIED, TE_RCC_EXTCFGR_APPLIED)) {
        return false;
    }
    return te_switch_to_pll();
}

void te_board_init(void) {
    te_on_pll = te_start_oscillator() && te_raise_voltage() && te_start_pll();
    te_stm32_enable(&TE_RCC_AHB2ENR, TE_RCC_AHB2ENR_GPIOB);
    te_stm32_enable(&TE_RCC_APB2ENR, TE_RCC_APB2ENR_USART1);
    te_stm32_start_serial();
    te_stm32_serial_pin(TE_GPIOB, 6, TE_USART1_FUNCTION);
    te_stm32_serial_pin(TE_GPIOB, 7, TE_USART1_FUNCTION);
    te_cortexm_start_counter();
}
