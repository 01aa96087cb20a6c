/* SPDX-License-Identifier: Apache-2.0 */
/** @file stm32f405.c
 *  STM32F405/F415 with nothing assumed of the circuit around it: 168 MHz from the internal oscillator through the PLL,
 *  USART1 on PA9 (transmit) and PA10 (receive). Sections are of the reference manual RM0090.
 *
 *  The internal oscillator is trimmed to 1 % at 25 degrees (data sheet DS8626), well within what a UART takes. Counts of
 *  cycles are exact whatever its error; microseconds carry it. */
#include <stdbool.h>

#include "te_board.h"
#include "te_cortexm.h"

/* Reset and clock control, section 7.3. */
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
#define TE_RCC_CFGR_APB1_BY_4 (5u << 10) /* 42 MHz, its maximum. */
#define TE_RCC_CFGR_APB2_BY_2 (4u << 13) /* 84 MHz, its maximum. */

/* Section 7.3.2: 16 MHz / 8 = 2 MHz, the input the manual recommends; times 168 = 336 MHz; / 2 = 168 MHz; / 7 = 48. */
#define TE_PLL_M 8u
#define TE_PLL_N 168u
#define TE_PLL_P_BY_2 (0u << 16)
#define TE_PLL_SOURCE_HSI (0u << 22)
#define TE_PLL_Q 7u
#define TE_PLL_CONFIGURATION \
    (TE_PLL_M | (TE_PLL_N << 6) | TE_PLL_P_BY_2 | TE_PLL_SOURCE_HSI | (TE_PLL_Q << 24))

/* Power control, section 5.4.1: scale 1 is needed above 144 MHz. */
#define TE_PWR_CR TE_REGISTER(0x40007000u)
#define TE_PWR_CR_VOS_SCALE_1 (1u << 14)

/* Flash interface, sections 3.5.1 (table 10: 5 wait states for 168 MHz at 2.7 to 3.6 V), 3.5.2 and 3.9.1. */
#define TE_FLASH_ACR TE_REGISTER(0x40023C00u)
#define TE_FLASH_ACR_5_WAIT_STATES 5u
#define TE_FLASH_ACR_LATENCY 7u
#define TE_FLASH_ACR_PREFETCH_AND_CACHES (7u << 8)

/* GPIO port A, section 8.4; alternate function 7 is USART1 (data sheet). */
#define TE_GPIOA_MODER TE_REGISTER(0x40020000u)
#define TE_GPIOA_PUPDR TE_REGISTER(0x4002000Cu)
#define TE_GPIOA_AFRH TE_REGISTER(0x40020024u)

/* USART1, section 30.6. */
#define TE_USART1_SR TE_REGISTER(0x40011000u)
#define TE_USART1_DR TE_REGISTER(0x40011004u)
#define TE_USART1_BRR TE_REGISTER(0x40011008u)
#define TE_USART1_CR1 TE_REGISTER(0x4001100Cu)
#define TE_USART_SR_ERRORS 15u /* Parity, framing, noise, overrun: cleared by reading SR, then DR. */
#define TE_USART_SR_RXNE (1u << 5)
#define TE_USART_SR_TXE (1u << 7)
#define TE_USART_CR1_RE (1u << 2)
#define TE_USART_CR1_TE (1u << 3)
#define TE_USART_CR1_UE (1u << 13)

#define TE_HSI_HZ 16000000u
#define TE_PLL_HZ TE_CLOCK_HZ
#if TE_PLL_HZ != 168000000u
#error "the PLL is set for 168 MHz"
#endif

static bool te_on_pll;

static bool te_wait(volatile uint32_t *flags, uint32_t mask, uint32_t wanted) {
    for (uint32_t i = 0; i < TE_READY_TRIES; i++) {
        if ((*flags & mask) == wanted) {
            return true;
        }
    }
    return false;
}

/* Leaves the processor on the 16 MHz oscillator, and returns false, where the PLL does not come. */
static bool te_start_pll(void) {
    TE_RCC_APB1ENR |= 1u << 28; /* Power interface. */
    (void)TE_RCC_APB1ENR;       /* Errata ES0182: the clock needs a delay after it is switched on. */
    TE_PWR_CR |= TE_PWR_CR_VOS_SCALE_1;
    TE_RCC_CR |= TE_RCC_CR_HSION;
    if (!te_wait(&TE_RCC_CR, TE_RCC_CR_HSIRDY, TE_RCC_CR_HSIRDY)) {
        return false;
    }
    /* A boot loader may have left us on the PLL, which can only be set while it is off (section 7.3.2). */
    TE_RCC_CFGR &= ~TE_RCC_CFGR_SW;
    if (!te_wait(&TE_RCC_CFGR, TE_RCC_CFGR_SWS, 0u)) {
        return false;
    }
    TE_RCC_CR &= ~TE_RCC_CR_PLLON;
    if (!te_wait(&TE_RCC_CR, TE_RCC_CR_PLLRDY, 0u)) {
        return false;
    }
    TE_RCC_PLLCFGR = TE_PLL_CONFIGURATION;
    TE_RCC_CR |= TE_RCC_CR_PLLON;
    if (!te_wait(&TE_RCC_CR, TE_RCC_CR_PLLRDY, TE_RCC_CR_PLLRDY)) {
        return false;
    }
    /* Section 3.5.1: the wait states are in force, read back, before the clock rises. */
    TE_FLASH_ACR = TE_FLASH_ACR_5_WAIT_STATES | TE_FLASH_ACR_PREFETCH_AND_CACHES;
    if (!te_wait(&TE_FLASH_ACR, TE_FLASH_ACR_LATENCY, TE_FLASH_ACR_5_WAIT_STATES)) {
        return false;
    }
    TE_RCC_CFGR = (TE_RCC_CFGR & ~TE_RCC_CFGR_PRESCALERS) | TE_RCC_CFGR_APB1_BY_4 | TE_RCC_CFGR_APB2_BY_2;
    TE_RCC_CFGR |= TE_RCC_CFGR_SW_PLL;
    if (!te_wait(&TE_RCC_CFGR, TE_RCC_CFGR_SWS, TE_RCC_CFGR_SWS_PLL)) {
        TE_RCC_CFGR &= ~(TE_RCC_CFGR_SW | TE_RCC_CFGR_PRESCALERS);
        return false;
    }
    return true;
}

static void te_start_usart(uint32_t bus_hz) {
    TE_RCC_AHB1ENR |= 1u << 0; /* GPIOA */
    TE_RCC_APB2ENR |= 1u << 4; /* USART1 */
    (void)TE_RCC_APB2ENR;      /* The same delay. */
    TE_GPIOA_AFRH = (TE_GPIOA_AFRH & ~0x00000FF0u) | 0x00000770u;
    TE_GPIOA_PUPDR = (TE_GPIOA_PUPDR & ~(15u << 18)) | (5u << 18);  /* Pull-ups: an open line reads idle. */
    TE_GPIOA_MODER = (TE_GPIOA_MODER & ~(15u << 18)) | (10u << 18); /* PA9, PA10: alternate function. */
    TE_USART1_BRR = (bus_hz + TE_UART_BAUD / 2u) / TE_UART_BAUD;    /* Section 30.3.4, oversampling by 16. */
    TE_USART1_CR1 = TE_USART_CR1_UE | TE_USART_CR1_TE | TE_USART_CR1_RE;
}

void te_board_init(void) {
    te_on_pll = te_start_pll();
    te_start_usart(te_on_pll ? TE_PLL_HZ / 2u : TE_HSI_HZ);
    te_cortexm_start_counter();
}

uint32_t te_board_clock_hz(void) {
    return te_on_pll ? TE_PLL_HZ : TE_HSI_HZ;
}

const char *te_board_clock_source(void) {
    return te_on_pll ? "PLL from HSI" : "HSI (the PLL did not start)";
}

void te_board_putc(char byte) {
    (void)te_wait(&TE_USART1_SR, TE_USART_SR_TXE, TE_USART_SR_TXE);
    TE_USART1_DR = (uint8_t)byte;
}

int te_board_getc(void) {
    const uint32_t status = TE_USART1_SR;
    if ((status & (TE_USART_SR_RXNE | TE_USART_SR_ERRORS)) == 0u) {
        return -1;
    }
    const uint32_t byte = TE_USART1_DR;
    return (status & TE_USART_SR_RXNE) != 0u ? (int)(byte & 0xFFu) : -1;
}
