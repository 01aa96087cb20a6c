/* SPDX-License-Identifier: Apache-2.0 */
/** @file mps2.c
 *  Arm's MPS2 board with the FPGA images AN385 (Cortex-M3, DAI 0385), AN386 (Cortex-M4, DAI 0386), AN500 (Cortex-M7,
 *  DAI 0500) and AN505 (IoT kit SSE-200 with a Cortex-M33, DAI 0505; all code is secure): processor and peripherals run
 *  at one clock from reset. */
#include "te_board.h"
#include "te_cmsdk_uart.h"
#include "te_cortexm.h"

void te_board_init(void) {
    te_cmsdk_uart_start();
    te_cortexm_start_counter();
}

uint32_t te_board_clock_hz(void) {
    return TE_CLOCK_HZ;
}

const char *te_board_clock_source(void) {
    return "FPGA oscillator";
}

void te_board_putc(char byte) {
    te_cmsdk_uart_putc(byte);
}

int te_board_getc(void) {
    return te_cmsdk_uart_getc();
}
