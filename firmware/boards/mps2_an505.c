/* SPDX-License-Identifier: Apache-2.0 */
/** @file mps2_an505.c
 *  Arm's MPS2 board with the FPGA image AN505 (IoT kit SSE-200 with a Cortex-M33, DAI 0505): everything runs at 20 MHz
 *  from reset. All code is secure, so peripherals are used by their secure addresses. */
#include <stddef.h>

#include "te_board.h"
#include "te_cmsdk_uart.h"
#include "te_cortexm.h"

#define TE_UART0 ((te_cmsdk_uart *)0x50200000u)

void te_board_init(void) {
    te_cmsdk_uart_start(TE_UART0, TE_CLOCK_HZ, TE_UART_BAUD);
    te_cortexm_start_counter();
}

uint32_t te_board_clock_hz(void) {
    return TE_CLOCK_HZ;
}

const char *te_board_clock_source(void) {
    return "FPGA oscillator";
}

const uint32_t *te_board_unique_id(void) {
    return NULL;
}

void te_board_putc(char byte) {
    te_cmsdk_uart_putc(TE_UART0, byte);
}

int te_board_getc(void) {
    return te_cmsdk_uart_getc(TE_UART0);
}
