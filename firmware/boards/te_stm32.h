/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_stm32.h
 *  What STM32 boards share: bounded waits, dividers as the reset and clock controls of all families encode them, and
 *  pins. The numbers of the clock tree come from the board's TOML file, where tinyedge/boards/clock.py checks them
 *  against the limits of the part; here is no second copy. Manuals are cited by chapter title and register name, which
 *  stay when a revision numbers its sections anew. */
#ifndef TE_STM32_H
#define TE_STM32_H

#include <stdbool.h>
#include <stdint.h>

#include "te_cortexm.h"

#if TE_CLOCK_OSCILLATOR_HZ * TE_CLOCK_PLL_N != TE_CLOCK_HZ * TE_CLOCK_PLL_M * TE_CLOCK_PLL_DIVIDER
#error "the PLL's numbers in the board's TOML file do not give its clock_hz"
#endif

/** The clock of the serial port while the PLL runs; the bus dividers are reset to 1 where it does not. */
#define TE_STM32_USART_HZ (TE_CLOCK_HZ / TE_CLOCK_AHB_DIVIDER / TE_CLOCK_USART_BUS_DIVIDER)

/** HPRE of the AHB divider: 1 to 16 as 0, 8, 9, 10, 11. */
#define TE_STM32_AHB_BITS(divider) \
    ((divider) == 1u ? 0u : (divider) == 2u ? 8u : (divider) == 4u ? 9u : (divider) == 8u ? 10u : 11u)

/** PPRE of an APB divider: 1 to 16 as 0, 4, 5, 6, 7. */
#define TE_STM32_APB_BITS(divider) \
    ((divider) == 1u ? 0u : (divider) == 2u ? 4u : (divider) == 4u ? 5u : (divider) == 8u ? 6u : 7u)

/** Waits until the bits of `mask` are `wanted`.
 *  @return false where that does not come. */
static inline bool te_stm32_wait(const volatile uint32_t *flags, uint32_t mask, uint32_t wanted) {
    for (uint32_t i = 0; i < TE_READY_TRIES; i++) {
        if ((*flags & mask) == wanted) {
            return true;
        }
    }
    return false;
}

/** Sets bits of a register, and reads it back: a peripheral's clock needs that long after it is switched on. */
static inline void te_stm32_enable(volatile uint32_t *enable, uint32_t bits) {
    *enable |= bits;
    (void)*enable;
}

/** A GPIO port. F2, F4, F7, G0, G4, L4+, H7, U5 and WB have the same registers ("General-purpose I/Os" of each manual;
 *  for G4 and WB ST's stm32g474xx.h and stm32wb55xx.h). */
typedef struct {
    volatile uint32_t moder;   /**< Two bits a pin: 2 is the alternate function. */
    volatile uint32_t otyper;  /**< 0: push-pull. */
    volatile uint32_t ospeedr; /**< Reset value: low speed, which is megahertz and enough for a UART. */
    volatile uint32_t pupdr;   /**< Two bits a pin: 1 is a pull-up. */
    volatile uint32_t idr;
    volatile uint32_t odr;
    volatile uint32_t bsrr;
    volatile uint32_t lckr;
    volatile uint32_t afr[2]; /**< Four bits a pin. */
} te_stm32_gpio;

/** Gives a pin to a serial port, with a pull-up: an open line reads idle. The port's clock is on.
 *  @param function  The pin's alternate function, as in the part's data sheet. */
static inline void te_stm32_serial_pin(te_stm32_gpio *port, uint32_t pin, uint32_t function) {
    const uint32_t shift = 4u * (pin % 8u);
    port->afr[pin / 8u] = (port->afr[pin / 8u] & ~(15u << shift)) | (function << shift);
    port->otyper &= ~(1u << pin);
    port->pupdr = (port->pupdr & ~(3u << (2u * pin))) | (1u << (2u * pin));
    port->moder = (port->moder & ~(3u << (2u * pin))) | (2u << (2u * pin));
}

#endif /* TE_STM32_H */
