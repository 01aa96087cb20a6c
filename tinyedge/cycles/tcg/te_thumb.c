/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_thumb.c
 *  Sections are of the ARMv7-M Architecture Reference Manual, DDI 0403E. */
#include "te_thumb.h"

#include "te_bits.h"
#include "te_mve.h"

enum { SP = 13, LR = 14, PC = 15 };

static uint8_t count(uint32_t set) {
    uint8_t members = 0;
    for (; set != 0u; set &= set - 1u) {
        members++;
    }
    return members;
}

bool te_thumb_is_wide(uint16_t first) {
    return te_bits(first, 15, 11) >= 0x1Du;
}

/* --- 16 bits, A5.2 ------------------------------------------------------------------------------------------------- */

/* A load or a store of one register. */
static void one_register(te_instruction *out, bool load, uint32_t rt, uint16_t addressing) {
    const bool to_pc = load && rt == PC;
    out->kind = (uint8_t)(to_pc ? TE_LOAD_MANY_PC : load ? TE_LOAD : TE_STORE);
    out->words = 1;
    out->addressing = addressing;
    *(load ? &out->writes : &out->reads) |= te_reg(rt);
}

static void narrow_data_processing(te_instruction *out, uint32_t first) {
    static const uint8_t test = 8, compare = 10, compare_negative = 11, multiply = 13, move_not = 15, negate = 9;
    const uint32_t op = te_bits(first, 9, 6), rd = te_bits(first, 2, 0), rm = te_bits(first, 5, 3);
    out->reads = te_reg(rm);
    if (op != move_not && op != negate) {
        out->reads |= te_reg(rd);
    }
    if (op != test && op != compare && op != compare_negative) {
        out->writes = te_reg(rd);
    }
    out->shifts = op == 2u || op == 3u || op == 4u || op == 7u;
    out->sets_flags = true;
    if (op == multiply) {
        out->kind = TE_MULTIPLY;
    }
}

static void narrow_special(te_instruction *out, uint32_t first) {
    const uint32_t op = te_bits(first, 9, 8), rm = te_bits(first, 6, 3);
    const uint32_t rd = te_bits(first, 2, 0) | te_bits(first, 7, 7) << 3;
    out->reads = te_reg(rm);
    if (op == 3u) {
        out->kind = TE_BRANCH_INDIRECT;
        out->links = te_bits(first, 7, 7) != 0u;
        out->writes = out->links ? te_reg(LR) : 0u;
        return;
    }
    out->sets_flags = op == 1u;
    if (op != 2u) {
        out->reads |= te_reg(rd);
    }
    if (op != 1u) {
        out->writes = te_reg(rd);
        out->simple = op == 2u;
        if (rd == PC) {
            out->kind = TE_BRANCH_INDIRECT;
        }
    }
}

static void narrow_miscellaneous(te_instruction *out, uint32_t first) {
    if (te_bits(first, 11, 8) == 0u) { /* ADD and SUB of the stack pointer. */
        out->reads = out->writes = te_reg(SP);
    } else if (te_bits(first, 10, 10) == 0u && te_bits(first, 8, 8) == 1u) { /* CBZ, CBNZ. */
        out->kind = TE_BRANCH;
        out->reads = te_reg(te_bits(first, 2, 0));
    } else if (te_bits(first, 11, 8) == 2u || te_bits(first, 11, 8) == 10u) { /* SXTB to UXTH, REV. */
        out->reads = te_reg(te_bits(first, 5, 3));
        out->writes = te_reg(te_bits(first, 2, 0));
        out->packs = true;
        out->simple = te_bits(first, 11, 8) == 2u;
    } else if (te_bits(first, 10, 9) == 2u) { /* PUSH, POP. */
        const bool load = te_bits(first, 11, 11) != 0u, extra = te_bits(first, 8, 8) != 0u;
        const uint32_t list = te_bits(first, 7, 0) | (extra ? (load ? te_reg(PC) : te_reg(LR)) : 0u);
        out->kind = (uint8_t)(!load ? TE_STORE_MANY : extra ? TE_LOAD_MANY_PC : TE_LOAD_MANY);
        out->words = count(list);
        out->addressing = te_reg(SP);
        out->writes = te_reg(SP);
        *(load ? &out->writes : &out->reads) |= (uint16_t)list;
    } else if (te_bits(first, 11, 8) == 15u && te_bits(first, 3, 0) != 0u) {
        out->kind = TE_IF_THEN;
    } else if (te_bits(first, 11, 5) == 0x33u) { /* CPS. */
        out->kind = TE_SYSTEM;
    } else {
        out->simple = te_bits(first, 11, 8) == 15u; /* NOP. */
    }
}

static void decode_narrow(te_instruction *out, uint32_t first) {
    const uint32_t low = te_bits(first, 2, 0), middle = te_bits(first, 5, 3), high = te_bits(first, 8, 6);
    const uint32_t at8 = te_bits(first, 10, 8);
    switch (te_bits(first, 15, 12)) {
    case 0x0:
    case 0x1: { /* Shifts; ADD and SUB of three registers or a small constant. */
        const uint32_t op = te_bits(first, 13, 11);
        out->writes = te_reg(low);
        out->reads = te_reg(middle);
        out->shifts = op < 3u && te_bits(first, 10, 6) != 0u;
        out->simple = op == 3u && te_bits(first, 10, 10) != 0u;
        out->sets_flags = true;
        if (op == 3u && te_bits(first, 10, 10) == 0u) {
            out->reads |= te_reg(high);
        }
        break;
    }
    case 0x2:
    case 0x3: /* MOV, CMP, ADD, SUB of a constant. */
        out->reads = te_bits(first, 12, 11) == 0u ? 0u : te_reg(at8);
        out->writes = te_bits(first, 12, 11) == 1u ? 0u : te_reg(at8);
        out->simple = te_bits(first, 12, 11) != 1u;
        out->sets_flags = true;
        break;
    case 0x4:
        if (te_bits(first, 11, 11) != 0u) {
            one_register(out, true, at8, te_reg(PC));
        } else if (te_bits(first, 10, 10) != 0u) {
            narrow_special(out, first);
        } else {
            narrow_data_processing(out, first);
        }
        break;
    case 0x5: {
        const bool load = te_bits(first, 11, 9) >= 3u;
        one_register(out, load, low, (uint16_t)(te_reg(middle) | te_reg(high)));
        if (!load) {
            out->kind = TE_STORE_INDEXED;
        }
        break;
    }
    case 0x6:
    case 0x7:
    case 0x8:
        one_register(out, te_bits(first, 11, 11) != 0u, low, te_reg(middle));
        break;
    case 0x9:
        one_register(out, te_bits(first, 11, 11) != 0u, at8, te_reg(SP));
        break;
    case 0xA: /* An address from the program counter or the stack pointer. */
        out->writes = te_reg(at8);
        out->reads = te_bits(first, 11, 11) != 0u ? te_reg(SP) : 0u;
        break;
    case 0xB:
        narrow_miscellaneous(out, first);
        break;
    case 0xC: {
        const bool load = te_bits(first, 11, 11) != 0u;
        const uint16_t list = (uint16_t)te_bits(first, 7, 0);
        out->kind = (uint8_t)(load ? TE_LOAD_MANY : TE_STORE_MANY);
        out->words = count(list);
        out->addressing = te_reg(at8);
        out->writes = te_reg(at8);
        *(load ? &out->writes : &out->reads) |= list;
        break;
    }
    default: /* 0xD, 0xE: branches, and calls of the supervisor. */
        out->kind = TE_BRANCH;
        break;
    }
}

/* --- 32 bits, A5.3 ------------------------------------------------------------------------------------------------- */

static void wide_many(te_instruction *out, uint32_t first, uint32_t second) {
    const bool load = te_bits(first, 4, 4) != 0u;
    out->kind = (uint8_t)(!load ? TE_STORE_MANY : te_bits(second, 15, 15) != 0u ? TE_LOAD_MANY_PC : TE_LOAD_MANY);
    out->words = count(second);
    out->addressing = te_reg(te_bits(first, 3, 0));
    out->writes = te_bits(first, 5, 5) != 0u ? out->addressing : 0u;
    *(load ? &out->writes : &out->reads) |= (uint16_t)second;
}

/* LDRD, STRD, exclusive accesses and table branches, A5.3.6. */
static void wide_dual(te_instruction *out, uint32_t first, uint32_t second) {
    const uint32_t rt = te_bits(second, 15, 12), rt2 = te_bits(second, 11, 8);
    const bool load = te_bits(first, 4, 4) != 0u;
    const uint16_t base = te_reg(te_bits(first, 3, 0));
    if (te_bits(first, 8, 8) == 0u && te_bits(first, 5, 5) == 0u) {
        if (te_bits(first, 7, 4) == 0xDu && te_bits(second, 7, 5) == 0u) { /* TBB, TBH. */
            out->kind = TE_BRANCH_TABLE;
            out->addressing = (uint16_t)(base | te_reg(te_bits(second, 3, 0)));
            return;
        }
        one_register(out, load, rt, base); /* An exclusive one. */
        return;
    }
    out->kind = (uint8_t)(load ? TE_LOAD_DUAL : TE_STORE_DUAL);
    out->words = 2;
    out->addressing = base;
    out->writes = te_bits(first, 5, 5) != 0u ? base : 0u;
    *(load ? &out->writes : &out->reads) |= (uint16_t)(te_reg(rt) | te_reg(rt2));
}

/* MVE's shifts of one core register, or of two as one of 64 bits. */
static void long_shift(te_instruction *out, uint32_t first, uint32_t second) {
    const bool by_register = te_bits(second, 3, 0) == SP, one = te_bits(second, 11, 9) == 7u;
    const uint16_t low = te_reg(te_bits(first, 3, 1) << 1), high = te_reg(te_bits(second, 11, 9) << 1 | 1u);
    out->late = true;
    out->writes = one ? te_reg(te_bits(first, 3, 0)) : (uint16_t)(low | high);
    out->reads = (uint16_t)(out->writes | (by_register ? te_reg(te_bits(second, 15, 12)) : 0u));
}

/* Data processing with a constant or a shifted register, A5.3.1 and A5.3.11: the same operations. */
static void wide_data_processing(te_instruction *out, uint32_t first, uint32_t second, bool constant) {
    const uint32_t op = te_bits(first, 8, 5), rd = te_bits(second, 11, 8), rn = te_bits(first, 3, 0);
    out->reads = rn == PC ? 0u : te_reg(rn);
    out->writes = rd == PC ? 0u : te_reg(rd); /* TST, TEQ, CMN and CMP. */
    if (!constant) {
        out->reads |= te_reg(te_bits(second, 3, 0));
        out->shifts = (te_bits(second, 14, 12) << 2 | te_bits(second, 7, 4)) != 0u;
        out->packs = op == 6u;
        out->late = out->shifts && !out->packs && (op != 2u || rn != PC);
        if (op == 2u && te_bits(second, 15, 15) != 0u) { /* CSEL and its like have a condition there. */
            out->shifts = out->late = false;
        } else if (op == 2u && te_bits(second, 3, 0) >= SP) {
            long_shift(out, first, second);
        }
    }
}

/* MOVW, ADDW, saturation and bit fields, A5.3.3. */
static void wide_plain_constant(te_instruction *out, uint32_t first, uint32_t second) {
    static const uint8_t move_wide = 0x04, move_top = 0x0C;
    const uint32_t op = te_bits(first, 8, 4), rn = te_bits(first, 3, 0), rd = te_bits(second, 11, 8);
    out->writes = te_reg(rd);
    if (op == move_top) {
        out->reads = te_reg(rd);
    } else if (op != move_wide && rn != PC) {
        out->reads = te_reg(rn);
    }
    if (op >= 0x10u) {
        out->packs = true;
        out->late = (op & 4u) == 0u; /* SSAT, USAT. */
        out->reads |= op == 0x16u ? te_reg(rd) : 0u; /* BFI, BFC. */
    }
}

/* Branches and what shares their encoding, A5.3.4. */
static void wide_branch(te_instruction *out, uint32_t first, uint32_t second) {
    const bool call = te_bits(second, 14, 14) != 0u;
    if (!call && te_bits(second, 12, 12) == 0u && te_bits(first, 9, 7) == 7u) {
        const bool hint = te_bits(first, 10, 4) == 0x3Au; /* NOP, too. */
        out->kind = (uint8_t)(hint ? TE_ALU : TE_SYSTEM);
        if (te_bits(first, 10, 5) == 0x1Fu) { /* MRS. */
            out->writes = te_reg(te_bits(second, 11, 8));
        }
        return;
    }
    out->kind = TE_BRANCH;
    out->links = call && te_bits(second, 12, 12) != 0u;
    out->writes = out->links ? te_reg(LR) : 0u;
}

/* Bytes, half words and words, A5.3.7 to A5.3.10. */
static void wide_single(te_instruction *out, uint32_t first, uint32_t second) {
    const bool load = te_bits(first, 4, 4) != 0u, word = te_bits(first, 6, 5) == 2u;
    const uint32_t rt = te_bits(second, 15, 12), rn = te_bits(first, 3, 0);
    const bool offset_of_12_bits = te_bits(first, 7, 7) != 0u || rn == PC;
    if (load && rt == PC && !word) {
        return; /* A hint to the caches. */
    }
    one_register(out, load, rt, te_reg(rn));
    if (offset_of_12_bits) {
        return;
    }
    if (te_bits(second, 11, 11) == 0u) {
        out->addressing |= te_reg(te_bits(second, 3, 0));
        if (!load) {
            out->kind = TE_STORE_INDEXED;
        }
    } else if (te_bits(second, 8, 8) != 0u) {
        out->writes |= te_reg(rn);
    }
}

/* Shifts by a register, extensions, parallel arithmetic and the rest, A5.3.12 to A5.3.15. */
static void wide_registers(te_instruction *out, uint32_t first, uint32_t second) {
    const uint32_t rn = te_bits(first, 3, 0);
    out->writes = te_reg(te_bits(second, 11, 8));
    out->reads = (uint16_t)(te_reg(te_bits(second, 3, 0)) | (rn == PC ? 0u : te_reg(rn)));
    out->shifts = te_bits(first, 7, 7) == 0u && te_bits(second, 7, 4) == 0u;
    out->packs = !out->shifts;
    const bool extends = te_bits(first, 7, 7) == 0u, parallel = te_bits(second, 7, 7) == 0u;
    out->late = out->packs && (extends ? rn != PC : parallel || te_bits(first, 5, 4) == 0u); /* Not REV, SEL, CLZ. */
    if (out->packs && extends && rn != PC) {
        out->reads_late = te_reg(rn);
    }
}

static void wide_multiply(te_instruction *out, uint32_t first, uint32_t second) {
    const uint32_t ra = te_bits(second, 15, 12);
    out->kind = (uint8_t)(ra == PC ? TE_MULTIPLY : TE_MULTIPLY_ADD);
    out->writes = te_reg(te_bits(second, 11, 8));
    out->reads = (uint16_t)(te_reg(te_bits(first, 3, 0)) | te_reg(te_bits(second, 3, 0)));
    out->reads_late = ra == PC ? 0u : te_reg(ra);
    out->reads |= out->reads_late;
}

static void wide_multiply_long(te_instruction *out, uint32_t first, uint32_t second) {
    const uint32_t op = te_bits(first, 6, 4);
    const uint16_t result = (uint16_t)(te_reg(te_bits(second, 15, 12)) | te_reg(te_bits(second, 11, 8)));
    out->reads = (uint16_t)(te_reg(te_bits(first, 3, 0)) | te_reg(te_bits(second, 3, 0)));
    if (op == 1u || op == 3u) {
        out->kind = TE_DIVIDE;
        out->writes = te_reg(te_bits(second, 11, 8));
        return;
    }
    out->kind = (uint8_t)(op < 4u ? TE_MULTIPLY_LONG : TE_MULTIPLY_ADD_LONG);
    out->writes = result;
    if (op >= 4u) {
        out->reads_late = result;
        out->reads |= result;
    }
}

/* The floating-point unit, A6. Its own registers are not followed. */
static void wide_float(te_instruction *out, uint32_t first, uint32_t second) {
    if (te_bits(first, 9, 9) == 0u) {
        const bool load = te_bits(first, 4, 4) != 0u;
        if (te_bits(first, 8, 5) == 2u) { /* VMOV between two core registers and two or one of the unit. */
            out->kind = TE_FLOAT;
            out->words = 2;
            *(load ? &out->writes : &out->reads) =
                (uint16_t)(te_reg(te_bits(second, 15, 12)) | te_reg(te_bits(first, 3, 0)));
            return;
        }
        const bool one = te_bits(first, 8, 8) != 0u && te_bits(first, 5, 5) == 0u;
        out->kind = (uint8_t)(load ? TE_FLOAT_LOAD : TE_FLOAT_STORE);
        out->words = (uint8_t)(one ? 1u + te_bits(second, 8, 8) : te_bits(second, 7, 0));
        out->addressing = te_reg(te_bits(first, 3, 0));
        out->writes = te_bits(first, 5, 5) != 0u ? out->addressing : 0u;
        return;
    }
    out->words = 1;
    if (te_bits(second, 4, 4) != 0u) { /* VMOV between a core register and one of the unit, VMRS. */
        const uint32_t rt = te_bits(second, 15, 12);
        const bool is_lane = te_bits(second, 8, 8) != 0u, is_system = !is_lane && te_bits(first, 7, 7) != 0u;
        if (!is_system) {
            *(te_bits(first, 4, 4) != 0u ? &out->vector_reads : &out->vector_writes) = te_vector(te_bits(first, 3, 1));
        }
        if (is_lane) {
            out->words = 0;
        }
        out->kind = (uint8_t)(is_lane ? TE_VECTOR_MOVE : TE_FLOAT);
        if (te_bits(first, 4, 4) == 0u) {
            out->reads = te_reg(rt);
        } else if (rt != PC) {
            out->writes = te_reg(rt);
        }
        return;
    }
    const uint32_t op = te_bits(first, 7, 4) & 0xBu; /* Without the highest bit of the destination. */
    const bool root = op == 0xBu && te_bits(first, 3, 0) == 1u && te_bits(second, 7, 6) == 3u;
    if (op == 8u || root) {
        out->kind = TE_FLOAT_DIVIDE;
    } else if (op <= 1u || op == 9u || op == 10u) {
        out->kind = TE_FLOAT_MULTIPLY_ADD;
    } else {
        out->kind = TE_FLOAT;
    }
}

static void decode_wide(te_instruction *out, uint32_t first, uint32_t second) {
    if (te_mve_decode(out, (uint16_t)first, (uint16_t)second)) {
        return;
    }
    if (te_bits(first, 10, 10) != 0u && te_bits(first, 12, 11) != 2u) { /* Coprocessors. */
        wide_float(out, first, second);
        return;
    }
    switch (te_bits(first, 12, 11)) {
    case 1:
        if (te_bits(first, 9, 9) != 0u) {
            wide_data_processing(out, first, second, false);
        } else if (te_bits(first, 6, 6) != 0u) {
            wide_dual(out, first, second);
        } else {
            wide_many(out, first, second);
        }
        break;
    case 2:
        if (te_bits(second, 15, 15) != 0u) {
            wide_branch(out, first, second);
        } else if (te_bits(first, 9, 9) != 0u) {
            wide_plain_constant(out, first, second);
        } else {
            wide_data_processing(out, first, second, true);
        }
        break;
    default:
        if (te_bits(first, 9, 9) == 0u) {
            wide_single(out, first, second);
        } else if (te_bits(first, 8, 8) == 0u) {
            wide_registers(out, first, second);
        } else if (te_bits(first, 7, 7) == 0u) {
            wide_multiply(out, first, second);
        } else {
            wide_multiply_long(out, first, second);
        }
        break;
    }
}

static bool stores_registers(uint8_t kind) {
    return kind == TE_STORE || kind == TE_STORE_INDEXED || kind == TE_STORE_DUAL || kind == TE_STORE_MANY;
}

te_instruction te_thumb_decode(uint32_t address, uint16_t first, uint16_t second) {
    te_instruction out = {.address = address, .kind = TE_ALU, .bytes = 2};
    if (te_thumb_is_wide(first)) {
        out.bytes = 4;
        decode_wide(&out, first, second);
    } else {
        decode_narrow(&out, first);
    }
    if (stores_registers(out.kind)) {
        out.reads_late = out.reads;
    }
    return out;
}
