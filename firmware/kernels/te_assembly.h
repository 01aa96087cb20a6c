/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_assembly.h
 *  What every function in assembly begins with. */
#ifndef TE_ASSEMBLY_H
#define TE_ASSEMBLY_H

/** 1 where flash is worth more than time: smaller forms of kernels, and one variant where there are two. */
#ifndef TE_SMALL
#define TE_SMALL 0
#endif

/** Where loads of an inner loop stand. 0: together, for a Cortex-M4, on which a load takes one cycle in place of two behind
 *  another one. 1: apart, each between the multiplications before it is needed, for cores on which what it loads can be
 *  used two cycles later: a Cortex-M7, whose second instruction of a cycle it is, and Cortex-M33 and later. A Cortex-M7
 *  without double precision is no other to the compiler than a Cortex-M4, so its board says -DTE_LOADS_APART=1. */
#ifndef TE_LOADS_APART
#if defined(__ARM_ARCH_7EM__) && !(defined(__ARM_FP) && (__ARM_FP & 8))
#define TE_LOADS_APART 0
#else
#define TE_LOADS_APART 1
#endif
#endif

/** Where a function in assembly begins. */
#if TE_SMALL
#define TE_ASSEMBLY_ALIGNMENT "    .balign 4\n"
#else
#define TE_ASSEMBLY_ALIGNMENT "    .balign 32\n"
#endif

/** The lines of an assembly string before a function's first instruction. It begins at a line of the caches that slow
 *  flash is read through, so that what a loop takes of them does not depend on where the linker puts it.
 *  @param name  A string: the function's, or a macro's argument that holds it. */
#define TE_ASSEMBLY_FUNCTION(name)                     \
    "    .section .text." name ", \"ax\", %progbits\n" \
    TE_ASSEMBLY_ALIGNMENT                              \
    "    .thumb\n"                                     \
    "    .thumb_func\n"                                \
    "    .type " name ", %function\n"                  \
    "    .global " name "\n" name ":\n"

#endif /* TE_ASSEMBLY_H */
