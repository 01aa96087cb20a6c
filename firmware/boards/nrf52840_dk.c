/* SPDX-License-Identifier: Apache-2.0 */
/** @file nrf52840_dk.c
 *  nRF52840 DK: 64 MHz from the 32 MHz crystal; UART0 on P0.06 (transmit) and P0.08 (receive), which the on-board
 *  debugger shows as its virtual COM port (Zephyr's nrf52840dk_nrf52840-pinctrl.dtsi). Addresses, bits and values are
 *  those of Nordic's nrf52840.h and nrf52840_bitfields.h (repository NordicSemiconductor/nrfx, folder mdk); registers
 *  are written by address.
 *
 *  The processor wakes up at 64 MHz from the internal oscillator; how exact a baud rate is depends on the oscillator.
 *  The crystal makes both exact; where it does not start, the clock's source says so. Of the two serial peripherals at
 *  one address this is the one without DMA: a byte each way is all that is asked of it. */
#include <stdbool.h>

#include "te_board.h"
#include "te_cortexm.h"
#include "te_unique_id.h"

/* CLOCK. */
#define TE_CLOCK_TASKS_HFCLKSTART TE_REGISTER(0x40000000u)
#define TE_CLOCK_HFCLKSTAT TE_REGISTER(0x4000040Cu)
#define TE_CLOCK_HFCLKSTAT_CRYSTAL_RUNS ((1u << 0) | (1u << 16)) /* SRC and STATE. */

/* NVMC: the cache of instructions before the flash. */
#define TE_NVMC_ICACHECNF TE_REGISTER(0x4001E540u)
#define TE_NVMC_ICACHECNF_ON 1u

/* UART0. */
#define TE_UART_TASKS_STARTRX TE_REGISTER(0x40002000u)
#define TE_UART_TASKS_STARTTX TE_REGISTER(0x40002008u)
#define TE_UART_EVENTS_RXDRDY TE_REGISTER(0x40002108u)
#define TE_UART_EVENTS_TXDRDY TE_REGISTER(0x4000211Cu)
#define TE_UART_ENABLE TE_REGISTER(0x40002500u)
#define TE_UART_ENABLE_UART 4u
#define TE_UART_PSEL_TXD TE_REGISTER(0x4000250Cu)
#define TE_UART_PSEL_RXD TE_REGISTER(0x40002514u)
#define TE_UART_RXD TE_REGISTER(0x40002518u)
#define TE_UART_TXD TE_REGISTER(0x4000251Cu)
#define TE_UART_BAUDRATE TE_REGISTER(0x40002524u)
#define TE_UART_BAUDRATE_115200 0x01D7E000u /* 115,942 baud by the header, 0.6 % fast. */
#if TE_UART_BAUD != 115200
#error "the rates are those of a table; baud has to be 115200"
#endif

/* GPIO, port 0. */
#define TE_P0_OUTSET TE_REGISTER(0x50000508u)
#define TE_P0_PIN_CNF(pin) TE_REGISTER(0x50000700u + 4u * (pin))
#define TE_PIN_CNF_OUTPUT 3u         /* DIR output, INPUT disconnected. */
#define TE_PIN_CNF_PULLED_UP_INPUT 12u /* DIR input, INPUT connected, PULL up: an open line reads idle. */
#define TE_TRANSMIT_PIN 6u
#define TE_RECEIVE_PIN 8u

/* APPROTECT, in the addresses of CLOCK, and UICR. Parts of build code F0 (pyOCD's target_nRF52.py) and later lock the
 * debug port at reset; the first two words tell them, as in "configuration 249" of Nordic's nrf52_erratas.h. */
#define TE_FICR_FAMILY TE_REGISTER(0x10000130u)
#define TE_FICR_FAMILY_NRF52840 8u
#define TE_FICR_REVISION TE_REGISTER(0x10000134u)
#define TE_FICR_REVISION_LOCKS 5u
#define TE_UICR_APPROTECT TE_REGISTER(0x10001208u)
#define TE_APPROTECT_DISABLE TE_REGISTER(0x40000558u)

static bool te_on_crystal;

static bool te_start_crystal(void) {
    TE_CLOCK_TASKS_HFCLKSTART = 1u;
    for (uint32_t i = 0; i < TE_READY_TRIES; i++) {
        if ((TE_CLOCK_HFCLKSTAT & TE_CLOCK_HFCLKSTAT_CRYSTAL_RUNS) == TE_CLOCK_HFCLKSTAT_CRYSTAL_RUNS) {
            return true;
        }
    }
    return false;
}

/* A later part stays locked until its program copies UICR's word (system_nrf52_approtect.h): without, no probe would
 * reach it any more, whatever UICR says. Where UICR protects the part, it stays locked. */
static void te_open_debug_port(void) {
    if (TE_FICR_FAMILY == TE_FICR_FAMILY_NRF52840 && TE_FICR_REVISION >= TE_FICR_REVISION_LOCKS) {
        TE_APPROTECT_DISABLE = TE_UICR_APPROTECT;
    }
}

void te_board_init(void) {
    te_open_debug_port();
    te_on_crystal = te_start_crystal();
    TE_NVMC_ICACHECNF = TE_NVMC_ICACHECNF_ON;
    TE_P0_OUTSET = 1u << TE_TRANSMIT_PIN; /* High before it is an output: idle. */
    TE_P0_PIN_CNF(TE_TRANSMIT_PIN) = TE_PIN_CNF_OUTPUT;
    TE_P0_PIN_CNF(TE_RECEIVE_PIN) = TE_PIN_CNF_PULLED_UP_INPUT;
    TE_UART_PSEL_TXD = TE_TRANSMIT_PIN;
    TE_UART_PSEL_RXD = TE_RECEIVE_PIN;
    TE_UART_BAUDRATE = TE_UART_BAUDRATE_115200;
    TE_UART_ENABLE = TE_UART_ENABLE_UART;
    TE_UART_EVENTS_RXDRDY = 0u;
    TE_UART_EVENTS_TXDRDY = 0u;
    TE_UART_TASKS_STARTRX = 1u;
    TE_UART_TASKS_STARTTX = 1u;
    te_cortexm_start_counter();
}

uint32_t te_board_clock_hz(void) {
    return TE_CLOCK_HZ;
}

const char *te_board_clock_source(void) {
    return te_on_crystal ? "HFXO" : "HFINT (the crystal did not start)";
}

void te_board_putc(char byte) {
    TE_UART_TXD = (uint8_t)byte;
    for (uint32_t i = 0; i < TE_READY_TRIES && TE_UART_EVENTS_TXDRDY == 0u; i++) {
    }
    TE_UART_EVENTS_TXDRDY = 0u;
}

/* The event is cleared before the byte is read, as Nordic's nrfx_uart.c does: the next byte's is not lost. */
int te_board_getc(void) {
    if (TE_UART_EVENTS_RXDRDY == 0u) {
        return -1;
    }
    TE_UART_EVENTS_RXDRDY = 0u;
    return (int)(TE_UART_RXD & 0xFFu);
}
