/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cortexm.c
 *  From reset to main() on any Cortex-M, faults that are reported instead of hanging silently, a 64-bit counter and the
 *  measured stack. Registers as in the ARMv7-M Architecture Reference Manual (DDI 0403E), sections cited. ARMv6-M and
 *  Armv8-M Baseline (DDI 0419E, DDI 0553B) have those of them alone that are used without a look at the core. */
#include "te_cortexm.h"

#include <stdbool.h>
#include <string.h>

#include "te_board.h"
#include "te_text.h"

/* System control and ID registers, B3.2.2. */
#define TE_SCB_CPUID TE_REGISTER(0xE000ED00u)
#define TE_SCB_ICSR TE_REGISTER(0xE000ED04u)
#define TE_SCB_VTOR TE_REGISTER(0xE000ED08u)
#define TE_SCB_CCR TE_REGISTER(0xE000ED14u)
#define TE_SCB_SHCSR TE_REGISTER(0xE000ED24u)
#define TE_SCB_CFSR TE_REGISTER(0xE000ED28u)
#define TE_SCB_HFSR TE_REGISTER(0xE000ED2Cu)
#define TE_SCB_BFAR TE_REGISTER(0xE000ED38u)
#define TE_SCB_CPACR TE_REGISTER(0xE000ED88u)
#define TE_CPUID_ARCHITECTURE(cpuid) (((cpuid) >> 16) & 15u)
#define TE_CPUID_BASELINE 12u /* ARMv6-M and Armv8-M Baseline; others are 15. */
#define TE_ICSR_VECTACTIVE 0x1FFu
#define TE_ICSR_PENDSTCLR (1u << 25)
#define TE_ICSR_PENDSTSET (1u << 26)
#define TE_CCR_UNALIGN_TRP (1u << 3)
#define TE_SHCSR_FAULTS_ENABLED (7u << 16)  /* MemManage, BusFault and UsageFault have their own vectors. */
#define TE_CPACR_FPU_FULL_ACCESS (15u << 20) /* CP10 and CP11, B3.2.20. */

/* SysTick, B3.3. */
#define TE_SYST_CSR TE_REGISTER(0xE000E010u)
#define TE_SYST_RVR TE_REGISTER(0xE000E014u)
#define TE_SYST_CVR TE_REGISTER(0xE000E018u)
#define TE_SYST_CSR_ENABLE_IRQ_PROCESSOR_CLOCK 7u
#define TE_SYST_BITS 24
#define TE_SYST_MASK ((1u << TE_SYST_BITS) - 1u)

/* Data Watchpoint and Trace, C1.8, and its switch, C1.6.5. */
#define TE_DEMCR TE_REGISTER(0xE000EDFCu)
#define TE_DEMCR_TRCENA (1u << 24)
#define TE_DWT_CTRL TE_REGISTER(0xE0001000u)
#define TE_DWT_CTRL_CYCCNTENA 1u
#define TE_DWT_CYCCNT TE_REGISTER(0xE0001004u)
#define TE_DWT_LAR TE_REGISTER(0xE0001FB0u) /* Lock access, D1.1: Cortex-M7 has it, others ignore it. */
#define TE_DWT_LAR_UNLOCK 0xC5ACCE55u

#define TE_STACK_PAINT 0xA5A5A5A5u
#define TE_ZERO_TRIES 1000u
#define TE_LOOKS 1000u

/* Set by the linker script; their addresses are the values. */
extern uint32_t te_stack_bottom[], te_stack_top[];
extern uint32_t te_data_load[], te_data_start[], te_data_end[];
extern uint32_t te_bss_start[], te_bss_end[];
#ifdef TE_KERNELS_IN_RAM
extern uint32_t te_kernels_load[], te_kernels_start[], te_kernels_end[];
#endif
#ifdef TE_WEIGHTS_IN_RAM
extern uint32_t te_weights_load[], te_weights_start[], te_weights_end[];
#endif

int main(void);
void te_on_reset(void);
void te_start(void);
void te_on_fault(void);
void te_report_fault(const uint32_t *frame);
void te_on_systick(void);

static volatile uint32_t te_systick_wraps;

/* --- Vectors ------------------------------------------------------------------------------------------------------ */

/* The 16 vectors of the architecture (B1.5.3). No external interrupt is ever enabled, so the table ends there. */
typedef struct {
    uint32_t *stack_top;
    void (*exceptions[15])(void);
} te_vector_table;

extern const te_vector_table te_vectors;
__attribute__((section(".vectors"), used)) const te_vector_table te_vectors = {
    te_stack_top,
    {
        te_on_reset,
        te_on_fault, /* NMI */
        te_on_fault, /* HardFault */
        te_on_fault, /* MemManage */
        te_on_fault, /* BusFault */
        te_on_fault, /* UsageFault */
        te_on_fault, te_on_fault, te_on_fault, te_on_fault, /* reserved */
        te_on_fault, /* SVCall */
        te_on_fault, /* DebugMonitor */
        te_on_fault, /* reserved */
        te_on_fault, /* PendSV */
        te_on_systick,
    },
};

/* Whether the core has fault status registers, a cycle counter and a choice of what it traps. It is asked at run time:
 * an emulator may run code for ARMv6-M on a larger core. */
static bool te_has_main_extension(void) {
    return TE_CPUID_ARCHITECTURE(TE_SCB_CPUID) != TE_CPUID_BASELINE;
}

/* --- Reset -------------------------------------------------------------------------------------------------------- */

static void te_stop(void) {
    for (;;) {
        __asm__ volatile("cpsid i\n\twfi");
    }
}

/* Nothing is pushed before the board has made its RAM fit to be written. */
__attribute__((naked)) void te_on_reset(void) {
    __asm__ volatile("bl te_board_before_ram\n\t"
                     "bl te_start"); /* B reaches 2 KB only on ARMv6-M. */
}

__attribute__((weak, naked)) void te_board_before_ram(void) {
    __asm__ volatile("bx lr");
}

__attribute__((noreturn, used)) void te_start(void) {
    TE_SCB_VTOR = (uint32_t)&te_vectors; /* A boot loader or a debugger may have left its own. */
    if (te_has_main_extension()) {
        TE_SCB_CPACR |= TE_CPACR_FPU_FULL_ACCESS;
#ifndef __ARM_FEATURE_UNALIGNED
        TE_SCB_CCR |= TE_CCR_UNALIGN_TRP; /* As the core does that the code is for. */
#endif
    }
    __asm__ volatile("dsb\n\tisb" ::: "memory");

    /* Paint the stack below what is in use; 64 bytes are left for this function. */
    uint32_t *here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (uint32_t *word = te_stack_bottom; word < here - 16; word++) {
        *word = TE_STACK_PAINT;
    }
    memcpy(te_data_start, te_data_load, (size_t)((char *)te_data_end - (char *)te_data_start));
    memset(te_bss_start, 0, (size_t)((char *)te_bss_end - (char *)te_bss_start));
#ifdef TE_WEIGHTS_IN_RAM
    memcpy(te_weights_start, te_weights_load, (size_t)((char *)te_weights_end - (char *)te_weights_start));
#endif
#ifdef TE_KERNELS_IN_RAM
    memcpy(te_kernels_start, te_kernels_load, (size_t)((char *)te_kernels_end - (char *)te_kernels_start));
    __asm__ volatile("dsb\n\tisb" ::: "memory"); /* Written as data, fetched as instructions. */
#endif
    if (te_has_main_extension()) {
        TE_SCB_SHCSR |= TE_SHCSR_FAULTS_ENABLED;
    }
    (void)main();
    for (;;) {
        te_stop();
    }
}

uint32_t te_board_stack_bytes(void) {
    return (uint32_t)((char *)te_stack_top - (char *)te_stack_bottom);
}

uint32_t te_board_stack_used_bytes(void) {
    const volatile uint32_t *word = te_stack_bottom;
    while (word < te_stack_top && *word == TE_STACK_PAINT) {
        word++;
    }
    return (uint32_t)((volatile char *)te_stack_top - (volatile char *)word);
}

/* --- Faults ------------------------------------------------------------------------------------------------------- */

/* The stack may be what is broken, so the report runs on a fresh one; the old pointer goes along in r0. */
__attribute__((naked)) void te_on_fault(void) {
    __asm__ volatile("mrs r0, msp\n\t"
                     "ldr r1, =te_stack_top\n\t"
                     "msr msp, r1\n\t"
                     "bl te_report_fault\n\t"
                     ".ltorg");
}

static void te_print(const char *text) {
    te_put_text(te_board_putc, text);
}

static void te_print_word(const char *name, uint32_t value) {
    te_print(name);
    te_put_hex(te_board_putc, value, 8);
}

__attribute__((noreturn, used)) void te_report_fault(const uint32_t *frame) {
    static const char *const names[] = {"reset",      "reset",    "NMI",      "HardFault", "MemManage", "BusFault",
                                        "UsageFault", "reserved", "reserved", "reserved",  "reserved",  "SVCall",
                                        "DebugMonitor", "reserved", "PendSV", "SysTick"};
    const uint32_t exception = TE_SCB_ICSR & TE_ICSR_VECTACTIVE;
    /* The basic frame is eight words: lr the sixth, pc the seventh (B1.5.6). Below the stack it was never written. It
     * is read first, because the calls below use the top of the same stack. */
    const bool whole = frame >= te_stack_bottom && frame + 8 <= te_stack_top;
    const uint32_t lr = whole ? frame[5] : 0u;
    const uint32_t pc = whole ? frame[6] : 0u;
    te_print("\r\ne-[fault: ");
    te_print(exception < sizeof names / sizeof names[0] ? names[exception] : "interrupt");
    if (te_has_main_extension()) {
        te_print_word(" cfsr=", TE_SCB_CFSR);
        te_print_word(" hfsr=", TE_SCB_HFSR);
        te_print_word(" bfar=", TE_SCB_BFAR);
    }
    te_print_word(" sp=", (uint32_t)frame);
    if (whole) {
        te_print_word(" pc=", pc);
        te_print_word(" lr=", lr);
    } else {
        te_print(" stack overflow");
    }
    te_print("]\r\n");
    for (;;) {
        te_stop();
    }
}

/* --- Counter ------------------------------------------------------------------------------------------------------ */

void te_on_systick(void) {
    te_systick_wraps = te_systick_wraps + 1u;
}

void te_cortexm_start_counter(void) {
    if (te_has_main_extension()) {
        TE_DEMCR |= TE_DEMCR_TRCENA;
        TE_DWT_LAR = TE_DWT_LAR_UNLOCK;
        TE_DWT_CYCCNT = 0;
        TE_DWT_CTRL |= TE_DWT_CTRL_CYCCNTENA;
    }
    TE_SYST_RVR = TE_SYST_MASK;
    TE_SYST_CVR = 0;
    TE_SYST_CSR = TE_SYST_CSR_ENABLE_IRQ_PROCESSOR_CLOCK;
    /* A write of CVR clears it, and it reads 0 until the next edge of its clock reloads it. */
    for (uint32_t i = 0; i < TE_ZERO_TRIES && TE_SYST_CVR == 0u; i++) {
    }
    /* That reload counts as no wrap. */
    TE_SCB_ICSR = TE_ICSR_PENDSTCLR;
    te_systick_wraps = 0;
}

/* SysTick counts down through 0, where it raises its interrupt, to the reload value: 2^24 counts a wrap, and
 * wraps * 2^24 + (-value mod 2^24) counts have passed. With interrupts off the wrap that has happened but is not yet
 * counted shows as pending; the value is then read again, for the first one may be from before it. */
uint64_t te_board_count(void) {
    uint32_t primask;
    __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(primask)::"memory");
    uint32_t value = TE_SYST_CVR;
    /* At 0 the interrupt is being raised: one count later there is no doubt. */
    for (uint32_t i = 0; i < TE_ZERO_TRIES && value == 0u; i++) {
        value = TE_SYST_CVR;
    }
    uint64_t wraps = te_systick_wraps;
    if ((TE_SCB_ICSR & TE_ICSR_PENDSTSET) != 0u) {
        value = TE_SYST_CVR;
        wraps++;
    }
    __asm__ volatile("msr primask, %0" ::"r"(primask) : "memory");
    return (wraps << TE_SYST_BITS) + ((0u - value) & TE_SYST_MASK);
}

/* The inner loop is five instructions on every core; in C it would be six on some. */
uint32_t te_board_wait(uint32_t counts) {
    uint32_t left = TE_LOOKS;
    /* cppcheck-suppress knownConditionTrueFalse ; the assembly counts it down */
    for (; counts > 0u && left > 0u; counts--) {
        const uint32_t value = TE_SYST_CVR;
        uint32_t now;
        __asm__ volatile(".syntax unified\n"
                         "1:\tldr %1, [%2]\n\t"
                         "cmp %1, %3\n\t"
                         "bne 2f\n\t"
                         "subs %0, %0, #1\n\t"
                         "bne 1b\n"
                         "2:"
                         : "+&l"(left), "=&l"(now)
                         : "l"(&TE_SYST_CVR), "l"(value)
                         : "cc");
    }
    return TE_LOOKS - left;
}

/* SysTick runs on the processor's clock, so on silicon its counts are cycles, the very ones that DWT counts. An
 * emulator runs it in virtual time and leaves DWT at 0; none that we know has a core without DWT's counter. */
const char *te_board_count_unit(void) {
    return !te_has_main_extension() || TE_DWT_CYCCNT != 0u ? "cycles" : "ticks";
}

uint64_t te_board_microseconds(void) {
    uint64_t microseconds = te_board_count();
    (void)te_divide(&microseconds, te_board_clock_hz() / 1000000u);
    return microseconds;
}
