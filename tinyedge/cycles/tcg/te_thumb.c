/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_thumb.c
 *  Sections are of the ARMv7-M Architecture Reference Manual, DDI 0403E. */
#include "te_thumb.h"

enum { SP = 13, LR = 14, PC = 15 };

static uint32_t bits(uint32_t word, unsigned high, unsigned low) {
    return (word >> low) & ((1u << (high - low + 1u)) - 1u);
}

static uint16_t reg(uint32_t number) {
    return (uint16_t)(1u << number);
}

static uint8_t count(uint32_t set) {
    uint8_t members = 0;
    for (; set != 0u; set &= set - 1u) {
        members++;
    }
    return members;
}

bool te_thumb_is_wide(uint16_t first) {
    return bits(first, 15, 11) >= 0x1Du;
}

/* --- 16 bits, A5.2 ------------------------------------------------------------------------------------------------- */

/* A load or a store of one register. */
static void one_register(te_instruction *out, bool load, uint32_t rt, uint16_t addressing) {
    const bool to_pc = load && rt == PC;
    out->kind = (uint8_t)(to_pc ? TE_LOAD_MANY_PC : load ? TE_LOAD : TE_STORE);
    out->words = 1;
    out->addressing = addressing;
    *(load ? &out->writes : &out->reads) |= reg(rt);
}

static void narrow_data_processing(te_instruction *out, uint32_t first) {
    static const uint8_t test = 8, compare = 10, compare_negative = 11, multiply = 13, move_not = 15, negate = 9;
    const uint32_t op = bits(first, 9, 6), rd = bits(first, 2, 0), rm = bits(first, 5, 3);
    out->reads = reg(rm);
    if (op != move_not && op != negate) {
        out->reads |= reg(rd);
    }
    if (op != test && op != compare && op != compare_negative) {
        out->writes = reg(rd);
    }
    out->shifts = op == 2u || op == 3u || op == 4u || op == 7u;
    if (op == multiply) {
        out->kind = TE_MULTIPLY;
    }
}

static void narrow_special(te_instruction *out, uint32_t first) {
    const uint32_t op = bits(first, 9, 8), rm = bits(first, 6, 3), rd = bits(first, 2, 0) | bits(first, 7, 7) << 3;
    out->reads = reg(rm);
    if (op == 3u) {
        out->kind = TE_BRANCH_INDIRECT;
        out->links = bits(first, 7, 7) != 0u;
        out->writes = out->links ? reg(LR) : 0u;
        return;
    }
    if (op != 2u) {
        out->reads |= reg(rd);
    }
    if (op != 1u) {
        out->writes = reg(rd);
        if (rd == PC) {
            out->kind = TE_BRANCH_INDIRECT;
        }
    }
}

static void narrow_miscellaneous(te_instruction *out, uint32_t first) {
    if (bits(first, 11, 8) == 0u) { /* ADD and SUB of the stack pointer. */
        out->reads = out->writes = reg(SP);
    } else if (bits(first, 10, 10) == 0u && bits(first, 8, 8) == 1u) { /* CBZ, CBNZ. */
        out->kind = TE_BRANCH;
        out->reads = reg(bits(first, 2, 0));
    } else if (bits(first, 11, 8) == 2u || bits(first, 11, 8) == 10u) { /* SXTB to UXTH, REV. */
        out->reads = reg(bits(first, 5, 3));
        out->writes = reg(bits(first, 2, 0));
        out->packs = true;
    } else if (bits(first, 10, 9) == 2u) { /* PUSH, POP. */
        const bool load = bits(first, 11, 11) != 0u, extra = bits(first, 8, 8) != 0u;
        const uint32_t list = bits(first, 7, 0) | (extra ? (load ? reg(PC) : reg(LR)) : 0u);
        out->kind = (uint8_t)(!load ? TE_STORE_MANY : extra ? TE_LOAD_MANY_PC : TE_LOAD_MANY);
        out->words = count(list);
        out->addressing = reg(SP);
        out->writes = reg(SP);
        *(load ? &out->writes : &out->reads) |= (uint16_t)list;
    } else if (bits(first, 11, 8) == 15u && bits(first, 3, 0) != 0u) {
        out->kind = TE_IF_THEN;
    } else if (bits(first, 11, 5) == 0x33u) { /* CPS. */
        out->kind = TE_SYSTEM;
    }
}

static void decode_narrow(te_instruction *out, uint32_t first) {
    const uint32_t low = bits(first, 2, 0), middle = bits(first, 5, 3), high = bits(first, 8, 6), at8 = bits(first, 10, 8);
    switch (bits(first, 15, 12)) {
    case 0x0:
    case 0x1: { /* Shifts; ADD and SUB of three registers or a small constant. */
        const uint32_t op = bits(first, 13, 11);
        out->writes = reg(low);
        out->reads = reg(middle);
        out->shifts = op < 3u && bits(first, 10, 6) != 0u;
        if (op == 3u && bits(first, 10, 10) == 0u) {
            out->reads |= reg(high);
        }
        break;
    }
    case 0x2:
    case 0x3: /* MOV, CMP, ADD, SUB of a constant. */
        out->reads = bits(first, 12, 11) == 0u ? 0u : reg(at8);
        out->writes = bits(first, 12, 11) == 1u ? 0u : reg(at8);
        break;
    case 0x4:
        if (bits(first, 11, 11) != 0u) {
            one_register(out, true, at8, reg(PC));
        } else if (bits(first, 10, 10) != 0u) {
            narrow_special(out, first);
        } else {
            narrow_data_processing(out, first);
        }
        break;
    case 0x5: {
        const bool load = bits(first, 11, 9) >= 3u;
        one_register(out, load, low, (uint16_t)(reg(middle) | reg(high)));
        if (!load) {
            out->kind = TE_STORE_INDEXED;
        }
        break;
    }
    case 0x6:
    case 0x7:
    case 0x8:
        one_register(out, bits(first, 11, 11) != 0u, low, reg(middle));
        break;
    case 0x9:
        one_register(out, bits(first, 11, 11) != 0u, at8, reg(SP));
        break;
    case 0xA: /* An address from the program counter or the stack pointer. */
        out->writes = reg(at8);
        out->reads = bits(first, 11, 11) != 0u ? reg(SP) : 0u;
        break;
    case 0xB:
        narrow_miscellaneous(out, first);
        break;
    case 0xC: {
        const bool load = bits(first, 11, 11) != 0u;
        const uint16_t list = (uint16_t)bits(first, 7, 0);
        out->kind = (uint8_t)(load ? TE_LOAD_MANY : TE_STORE_MANY);
        out->words = count(list);
        out->addressing = reg(at8);
        out->writes = reg(at8);
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
    const bool load = bits(first, 4, 4) != 0u;
    out->kind = (uint8_t)(!load ? TE_STORE_MANY : bits(second, 15, 15) != 0u ? TE_LOAD_MANY_PC : TE_LOAD_MANY);
    out->words = count(second);
    out->addressing = reg(bits(first, 3, 0));
    out->writes = bits(first, 5, 5) != 0u ? out->addressing : 0u;
    *(load ? &out->writes : &out->reads) |= (uint16_t)second;
}

/* LDRD, STRD, exclusive accesses and table branches, A5.3.6. */
static void wide_dual(te_instruction *out, uint32_t first, uint32_t second) {
    const uint32_t rt = bits(second, 15, 12), rt2 = bits(second, 11, 8);
    const bool load = bits(first, 4, 4) != 0u;
    const uint16_t base = reg(bits(first, 3, 0));
    if (bits(first, 8, 8) == 0u && bits(first, 5, 5) == 0u) {
        if (bits(first, 7, 4) == 0xDu && bits(second, 7, 5) == 0u) { /* TBB, TBH. */
            out->kind = TE_BRANCH_TABLE;
            out->addressing = (uint16_t)(base | reg(bits(second, 3, 0)));
            return;
        }
        one_register(out, load, rt, base); /* An exclusive one. */
        return;
    }
    out->kind = (uint8_t)(load ? TE_LOAD_DUAL : TE_STORE_DUAL);
    out->words = 2;
    out->addressing = base;
    out->writes = bits(first, 5, 5) != 0u ? base : 0u;
    *(load ? &out->writes : &out->reads) |= (uint16_t)(reg(rt) | reg(rt2));
}

/* Data processing with a constant or a shifted register, A5.3.1 and A5.3.11: the same operations. */
static void wide_data_processing(te_instruction *out, uint32_t first, uint32_t second, bool constant) {
    const uint32_t op = bits(first, 8, 5), rd = bits(second, 11, 8), rn = bits(first, 3, 0);
    out->reads = rn == PC ? 0u : reg(rn);
    out->writes = rd == PC ? 0u : reg(rd); /* TST, TEQ, CMN and CMP. */
    if (!constant) {
        out->reads |= reg(bits(second, 3, 0));
        out->shifts = (bits(second, 14, 12) << 2 | bits(second, 7, 4)) != 0u;
        out->packs = op == 6u;
    }
}

/* MOVW, ADDW, saturation and bit fields, A5.3.3. */
static void wide_plain_constant(te_instruction *out, uint32_t first, uint32_t second) {
    static const uint8_t move_wide = 0x04, move_top = 0x0C;
    const uint32_t op = bits(first, 8, 4), rn = bits(first, 3, 0), rd = bits(second, 11, 8);
    out->writes = reg(rd);
    if (op == move_top) {
        out->reads = reg(rd);
    } else if (op != move_wide && rn != PC) {
        out->reads = reg(rn);
    }
    if (op >= 0x10u) {
        out->packs = true;
        out->reads |= op == 0x16u ? reg(rd) : 0u; /* BFI, BFC. */
    }
}

/* Branches and what shares their encoding, A5.3.4. */
static void wide_branch(te_instruction *out, uint32_t first, uint32_t second) {
    const bool call = bits(second, 14, 14) != 0u;
    if (!call && bits(second, 12, 12) == 0u && bits(first, 9, 7) == 7u) {
        const bool hint = bits(first, 10, 4) == 0x3Au; /* NOP, too. */
        out->kind = (uint8_t)(hint ? TE_ALU : TE_SYSTEM);
        if (bits(first, 10, 5) == 0x1Fu) { /* MRS. */
            out->writes = reg(bits(second, 11, 8));
        }
        return;
    }
    out->kind = TE_BRANCH;
    out->links = call && bits(second, 12, 12) != 0u;
    out->writes = out->links ? reg(LR) : 0u;
}

/* Bytes, half words and words, A5.3.7 to A5.3.10. */
static void wide_single(te_instruction *out, uint32_t first, uint32_t second) {
    const bool load = bits(first, 4, 4) != 0u, word = bits(first, 6, 5) == 2u;
    const uint32_t rt = bits(second, 15, 12), rn = bits(first, 3, 0);
    const bool offset_of_12_bits = bits(first, 7, 7) != 0u || rn == PC;
    if (load && rt == PC && !word) {
        return; /* A hint to the caches. */
    }
    one_register(out, load, rt, reg(rn));
    if (offset_of_12_bits) {
        return;
    }
    if (bits(second, 11, 11) == 0u) {
        out->addressing |= reg(bits(second, 3, 0));
        if (!load) {
            out->kind = TE_STORE_INDEXED;
        }
    } else if (bits(second, 8, 8) != 0u) {
        out->writes |= reg(rn);
    }
}

/* Shifts by a register, extensions, parallel arithmetic and the rest, A5.3.12 to A5.3.15. */
static void wide_registers(te_instruction *out, uint32_t first, uint32_t second) {
    const uint32_t rn = bits(first, 3, 0);
    out->writes = reg(bits(second, 11, 8));
    out->reads = (uint16_t)(reg(bits(second, 3, 0)) | (rn == PC ? 0u : reg(rn)));
    out->shifts = bits(first, 7, 7) == 0u && bits(second, 7, 4) == 0u;
    out->packs = !out->shifts;
}

static void wide_multiply(te_instruction *out, uint32_t first, uint32_t second) {
    const uint32_t ra = bits(second, 15, 12);
    out->kind = (uint8_t)(ra == PC ? TE_MULTIPLY : TE_MULTIPLY_ADD);
    out->writes = reg(bits(second, 11, 8));
    out->reads = (uint16_t)(reg(bits(first, 3, 0)) | reg(bits(second, 3, 0)) | (ra == PC ? 0u : reg(ra)));
}

static void wide_multiply_long(te_instruction *out, uint32_t first, uint32_t second) {
    const uint32_t op = bits(first, 6, 4);
    const uint16_t result = (uint16_t)(reg(bits(second, 15, 12)) | reg(bits(second, 11, 8)));
    out->reads = (uint16_t)(reg(bits(first, 3, 0)) | reg(bits(second, 3, 0)));
    if (op == 1u || op == 3u) {
        out->kind = TE_DIVIDE;
        out->writes = reg(bits(second, 11, 8));
        return;
    }
    out->kind = (uint8_t)(op < 4u ? TE_MULTIPLY_LONG : TE_MULTIPLY_ADD_LONG);
    out->writes = result;
    if (op >= 4u) {
        out->reads |= result;
    }
}

/* The floating-point unit, A6. Its own registers are not followed. */
static void wide_float(te_instruction *out, uint32_t first, uint32_t second) {
    if (bits(first, 9, 9) == 0u) {
        const bool load = bits(first, 4, 4) != 0u;
        if (bits(first, 8, 5) == 2u) { /* VMOV between two core registers and two or one of the unit. */
            out->kind = TE_FLOAT;
            out->words = 2;
            *(load ? &out->writes : &out->reads) = (uint16_t)(reg(bits(second, 15, 12)) | reg(bits(first, 3, 0)));
            return;
        }
        const bool one = bits(first, 8, 8) != 0u && bits(first, 5, 5) == 0u;
        out->kind = (uint8_t)(load ? TE_FLOAT_LOAD : TE_FLOAT_STORE);
        out->words = (uint8_t)(one ? 1u + bits(second, 8, 8) : bits(second, 7, 0));
        out->addressing = reg(bits(first, 3, 0));
        out->writes = bits(first, 5, 5) != 0u ? out->addressing : 0u;
        return;
    }
    out->words = 1;
    if (bits(second, 4, 4) != 0u) { /* VMOV between a core register and one of the unit, VMRS. */
        const uint32_t rt = bits(second, 15, 12);
        out->kind = TE_FLOAT;
        if (bits(first, 4, 4) == 0u) {
            out->reads = reg(rt);
        } else if (rt != PC) {
            out->writes = reg(rt);
        }
        return;
    }
    const uint32_t op = bits(first, 7, 4) & 0xBu; /* Without the highest bit of the destination. */
    const bool root = op == 0xBu && bits(first, 3, 0) == 1u && bits(second, 7, 6) == 3u;
    if (op == 8u || root) {
        out->kind = TE_FLOAT_DIVIDE;
    } else if (op <= 1u || op == 9u || op == 10u) {
        out->kind = TE_FLOAT_MULTIPLY_ADD;
    } else {
        out->kind = TE_FLOAT;
    }
}

static void decode_wide(te_instruction *out, uint32_t first, uint32_t second) {
    if (bits(first, 10, 10) != 0u && bits(first, 12, 11) != 2u) { /* Coprocessors. */
        wide_float(out, first, second);
        return;
    }
    switch (bits(first, 12, 11)) {
    case 1:
        if (bits(first, 9, 9) != 0u) {
            wide_data_processing(out, first, second, false);
        } else if (bits(first, 6, 6) != 0u) {
            wide_dual(out, first, second);
        } else {
            wide_many(out, first, second);
        }
        break;
    case 2:
        if (bits(second, 15, 15) != 0u) {
            wide_branch(out, first, second);
        } else if (bits(first, 9, 9) != 0u) {
            wide_plain_constant(out, first, second);
        } else {
            wide_data_processing(out, first, second, true);
        }
        break;
    default:
        if (bits(first, 9, 9) == 0u) {
            wide_single(out, first, second);
        } else if (bits(first, 8, 8) == 0u) {
            wide_registers(out, first, second);
        } else if (bits(first, 7, 7) == 0u) {
            wide_multiply(out, first, second);
        } else {
            wide_multiply_long(out, first, second);
        }
        break;
    }
}

te_instruction te_thumb_decode(uint32_t address, uint16_t first, uint16_t second) {
    te_instruction out = {.address = address, .kind = TE_ALU, .bytes = 2};
    if (te_thumb_is_wide(first)) {
        out.bytes = 4;
        decode_wide(&out, first, second);
    } else {
        decode_narrow(&out, first);
    }
    return out;
}
