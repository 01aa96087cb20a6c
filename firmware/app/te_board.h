/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_board.h
 *  What a board gives to the application. boards/NAME.c implements the serial port and the clock;
 *  boards/te_cortexm.c implements the counter and the stack for every Cortex-M. */
#ifndef TE_BOARD_H
#define TE_BOARD_H

#include <stdint.h>

/** Starts the clocks, the serial port (8N1 at TE_UART_BAUD) and the counter. Never hangs: every wait for hardware
 *  is bounded, and a clock that does not start leaves the board on the oscillator that it woke up with. */
void te_board_init(void);

/** Sends one byte; gives up after a bounded wait where the transmitter is stuck. */
void te_board_putc(char byte);

/** @return The next received byte, 0 to 255, or -1 where there is none. Does not wait. */
int te_board_getc(void);

/** The processor's clock in Hz as it really runs, after te_board_init(). */
uint32_t te_board_clock_hz(void);

/** Where that clock comes from, for people: "PLL from HSI". */
const char *te_board_clock_source(void);

/** The part's unique number, TE_UNIQUE_ID_WORDS words, or NULL where there is none, as in an emulator. Asked for only
 *  where the board's TOML file has a [unique_id]: another board needs no such function. */
const uint32_t *te_board_unique_id(void);

/** A counter that rises with the processor's clock and wraps after 2^56 counts, which is years. */
uint64_t te_board_count(void);

/** "cycles" on silicon; "ticks" where the cycle counter stands still, as in an emulator. There a tick is a fixed
 *  number of instructions, which tinyedge's description of the board states. */
const char *te_board_count_unit(void);

/** Waits until the counter has risen `counts` times.
 *  @return How often it was looked at on the way, at a steady pace: this measures parts of a count. */
uint32_t te_board_wait(uint32_t counts);

/** Microseconds since te_board_init(), by te_board_clock_hz(). */
uint64_t te_board_microseconds(void);

/** The reserved stack in bytes. */
uint32_t te_board_stack_bytes(void);

/** The most of it that was ever in use. */
uint32_t te_board_stack_used_bytes(void);

#endif /* TE_BOARD_H */
