/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_stm32_f2_f4_usart.h
 *  What te_stm32_usart.h has, for STM32F2 and STM32F4, whose serial ports have other registers than later families'
 *  ("Universal synchronous asynchronous receiver transmitter" of RM0033 and RM0090). */
#ifndef TE_STM32_F2_F4_USART_H
#define TE_STM32_F2_F4_USART_H

#include <stdint.h>

#include "te_stm32.h"

#define TE_USART_SR_ERRORS 15u /* Parity, framing, noise, overrun: cleared by reading SR, then DR. */
#define TE_USART_SR_RXNE (1u << 5)
#define TE_USART_SR_TXE (1u << 7)
#define TE_USART_CR1_RE (1u << 2)
#define TE_USART_CR1_TE (1u << 3)
#define TE_USART_CR1_UE (1u << 13)

/** The registers, at the port's address. */
typedef struct {
    volatile uint32_t sr;
    volatile uint32_t dr;
    volatile uint32_t brr;
    volatile uint32_t cr1;
} te_stm32_usart;

/** 8N1 at TE_UART_BAUD, oversampled by 16.
 *  @param clock_hz  Of the port. */
static inline void te_stm32_usart_start(te_stm32_usart *usart, uint32_t clock_hz) {
    usart->brr = (clock_hz + TE_UART_BAUD / 2u) / TE_UART_BAUD;
    usart->cr1 = TE_USART_CR1_UE | TE_USART_CR1_TE | TE_USART_CR1_RE;
}

/** As te_board_putc(). */
static inline void te_stm32_usart_putc(te_stm32_usart *usart, char byte) {
    (void)te_stm32_wait(&usart->sr, TE_USART_SR_TXE, TE_USART_SR_TXE);
    usart->dr = (uint8_t)byte;
}

/** As te_board_getc(). */
static inline int te_stm32_usart_getc(te_stm32_usart *usart) {
    const uint32_t status = usart->sr;
    if ((status & (TE_USART_SR_RXNE | TE_USART_SR_ERRORS)) == 0u) {
        return -1;
    }
    const uint32_t byte = usart->dr;
    return (status & TE_USART_SR_RXNE) != 0u ? (int)(byte & 0xFFu) : -1;
}

#endif /* TE_STM32_F2_F4_USART_H */
