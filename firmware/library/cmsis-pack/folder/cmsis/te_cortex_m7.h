/* SPDX-License-Identifier: Apache-2.0 */
/* Included before each kernel for a Cortex-M7: the order in which loads stand, see te_assembly.h. */
#ifndef TE_LOADS_APART
#define TE_LOADS_APART 1
#endif
