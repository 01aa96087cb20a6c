/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_stm32_usart.h
 *  The serial port of STM32 F7, G0, G4, L4+, H7, U5 and WB. USART and LPUART have these registers at the same places and
 *  differ in the unit of the baud rate register alone ("USART" and "LPUART" chapters of RM0385, RM0432, RM0433, RM0444
 *  and RM0456; for G4 ST's stm32g474xx.h and stm32g4xx_ll_lpuart.h, for WB stm32wb55xx.h). */
#ifndef TE_STM32_USART_H
#define TE_STM32_USART_H

#include <stdint.h>

#include "te_stm32.h"

#define TE_USART_CR1_UE (1u << 0)
#define TE_USART_CR1_RE (1u << 2)
#define TE_USART_CR1_TE (1u << 3)
#define TE_USART_ISR_ERRORS 15u /* Parity, framing, noise, overrun; the same bits of ICR clear them. */
#define TE_USART_ISR_RXNE (1u << 5)
#define TE_USART_ISR_TXE (1u << 7)

/** The registers, at the port's address. */
typedef struct {
    volatile uint32_t cr1;
    volatile uint32_t cr2;
    volatile uint32_t cr3;
    volatile uint32_t brr;
    volatile uint32_t gtpr;
    volatile uint32_t rtor;
    volatile uint32_t rqr;
    volatile uint32_t isr;
    volatile uint32_t icr;
    volatile uint32_t rdr;
    volatile uint32_t tdr;
} te_stm32_usart;

/** 8N1 at TE_UART_BAUD, oversampled by 16.
 *  @param clock_hz  Of the port. */
static inline void te_stm32_usart_start(te_stm32_usart *usart, uint32_t clock_hz) {
    usart->cr1 = 0; /* The others can be written while UE is 0 only; a boot loader may have left it on. */
    usart->cr2 = 0;
    usart->cr3 = 0;
    usart->brr = (uint32_t)((TE_CLOCK_USART_SCALE * (uint64_t)clock_hz + TE_UART_BAUD / 2u) / TE_UART_BAUD);
    usart->cr1 = TE_USART_CR1_UE | TE_USART_CR1_TE | TE_USART_CR1_RE;
}

/** As te_board_putc(). */
static inline void te_stm32_usart_putc(te_stm32_usart *usart, char byte) {
    (void)te_stm32_wait(&usart->isr, TE_USART_ISR_TXE, TE_USART_ISR_TXE);
    usart->tdr = (uint8_t)byte;
}

/** As te_board_getc(). An overrun has to be cleared, or nothing would be received again. */
static inline int te_stm32_usart_getc(te_stm32_usart *usart) {
    const uint32_t status = usart->isr;
    if ((status & TE_USART_ISR_ERRORS) != 0u) {
        usart->icr = status & TE_USART_ISR_ERRORS;
    }
    return (status & TE_USART_ISR_RXNE) != 0u ? (int)(usart->rdr & 0xFFu) : -1;
}

#endif /* TE_STM32_USART_H */
