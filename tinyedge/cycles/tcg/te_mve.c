/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_mve.c
 *  Instructions are looked up by the bits that tell them apart (Armv8-M Architecture Reference Manual, DDI 0553, C2.4);
 *  those that cost the same share a row. */
#include "te_mve.h"

#include <stddef.h>

#include "te_bits.h"

#define TE_VECTOR_BYTES 16u

enum { LR = 14, PC = 15 };

/* Where an instruction names its registers: Qd, Qn and Qm are vectors, R is a core register. */
typedef enum {
    TE_NOTHING,
    TE_QD,
    TE_QD_QM,
    TE_QD_QN_QM,
    TE_QD_QN_R,
    TE_QD_R,       /* Qd is shifted by a core register. */
    TE_QD_COUNTED, /* A core register counts on. */
    TE_QN_QM,
    TE_QN_R,
    TE_QN_FROM_R,
    TE_R_QM, /* A core register of even number, and perhaps the odd one after it, takes what became of all lanes. */
    TE_R_QN_QM,
} te_operands;

typedef struct {
    uint32_t mask;
    uint32_t bits;
    uint8_t kind;
    uint8_t operands;
    bool accumulates; /* It reads what it writes. */
} te_encoding;

/* The first row that fits. */
static const te_encoding encodings[] = {
    /* Vectors of the same lanes. */
    {0xEF800E50u, 0xEF000040u, TE_VECTOR_ADD, TE_QD_QN_QM, false},       /* VHADD, VRHADD */
    {0xEF800E50u, 0xEF000050u, TE_VECTOR_ADD, TE_QD_QN_QM, false},       /* VQADD, VAND, VBIC, VORR, VORN, VEOR */
    {0xEF800F40u, 0xEF000240u, TE_VECTOR_ADD, TE_QD_QN_QM, false},       /* VHSUB, VQSUB */
    {0xEF800F50u, 0xEF000440u, TE_VECTOR_ADD, TE_QD_QN_QM, false},       /* VSHL */
    {0xEF800E40u, 0xEF000440u, TE_VECTOR_SHIFT, TE_QD_QN_QM, false},     /* VQSHL, VRSHL, VQRSHL */
    {0xEF800E40u, 0xEF000640u, TE_VECTOR_ADD, TE_QD_QN_QM, false},       /* VMAX, VMIN, VABD */
    {0xEF800F50u, 0xEF000840u, TE_VECTOR_ADD, TE_QD_QN_QM, false},       /* VADD, VSUB */
    {0xEF800F50u, 0xEF000950u, TE_VECTOR_MULTIPLY, TE_QD_QN_QM, false},  /* VMUL */
    {0xEF800F50u, 0xEF000B40u, TE_VECTOR_MULTIPLY, TE_QD_QN_QM, false},  /* VQDMULH, VQRDMULH */
    {0xEF800F50u, 0xEF000C50u, TE_VECTOR_MULTIPLY, TE_QD_QN_QM, true},   /* VFMA, VFMS */
    {0xEF800F50u, 0xEF000D40u, TE_VECTOR_COMPARE, TE_QD_QN_QM, false},   /* VADD, VSUB, VABD of floats */
    {0xEF800F50u, 0xEF000D50u, TE_VECTOR_MULTIPLY, TE_QD_QN_QM, false},  /* VMUL of floats */
    {0xEF800F50u, 0xEF000F50u, TE_VECTOR_COMPARE, TE_QD_QN_QM, false},   /* VMAXNM, VMINNM */
    /* One vector. */
    {0xFFB30F50u, 0xFFB10740u, TE_VECTOR_COMPARE, TE_QD_QM, false},      /* VABS, VNEG of floats */
    {0xFFB20050u, 0xFFB20040u, TE_VECTOR_MULTIPLY, TE_QD_QM, false},     /* VRINT, VCVT */
    {0xFFB00050u, 0xFFB00040u, TE_VECTOR_ADD, TE_QD_QM, false},          /* VREV, VCLS, VCLZ, VMVN, VABS, VNEG ... */
    {0xEFB80090u, 0xEF800010u, TE_VECTOR_MULTIPLY, TE_QD, false},        /* A constant: VMOV, VMVN */
    {0xEF800F50u, 0xEF800250u, TE_VECTOR_SHIFT, TE_QD_QM, false},        /* VRSHR */
    {0xEF800F50u, 0xEF800050u, TE_VECTOR_ADD, TE_QD_QM, false},          /* VSHR */
    {0xEF800E50u, 0xEF800450u, TE_VECTOR_ADD, TE_QD_QM, true},           /* VSHL, VSLI, VSRI */
    {0xEF800E50u, 0xEF800650u, TE_VECTOR_SHIFT, TE_QD_QM, false},        /* VQSHL, VQSHLU */
    {0xEF800C50u, 0xEF800C50u, TE_VECTOR_MULTIPLY, TE_QD_QM, false},     /* VCVT of fixed points */
    /* Predicates and comparisons. */
    {0xFFB10F50u, 0xFE310F40u, TE_VECTOR_PREDICATE, TE_NOTHING, false},  /* VPST, VPNOT */
    {0xFFB10F51u, 0xFE310F01u, TE_VECTOR_ADD, TE_QD_QN_QM, false},       /* VPSEL */
    {0xFFB10F50u, 0xEE310F00u, TE_VECTOR_COMPARE, TE_QN_QM, false},      /* VCMP, VPT of floats */
    {0xFFB10F50u, 0xEE310F40u, TE_VECTOR_COMPARE, TE_QN_R, false},
    {0xFF810F50u, 0xFE010F00u, TE_VECTOR_COMPARE, TE_QN_QM, false},      /* VCMP, VPT */
    {0xFF810F50u, 0xFE010F40u, TE_VECTOR_COMPARE, TE_QN_R, false},
    /* What became of all lanes, in core registers. */
    {0xEFF10F51u, 0xEEE00F00u, TE_VECTOR_REDUCE, TE_R_QM, true},         /* VMAXV, VMINV, VMAXAV, VMINAV */
    {0xEF810F51u, 0xEE800F01u, TE_VECTOR_REDUCE, TE_R_QN_QM, true},      /* VABAV */
    {0xEF810F50u, 0xEE810F00u, TE_VECTOR_SUM, TE_R_QM, false},           /* VADDV, VADDLV */
    {0xEF800E50u, 0xEE800E00u, TE_VECTOR_SUM, TE_R_QN_QM, false},        /* VMLADAV, VMLSDAV, VMLALDAV, VRMLALDAVH */
    /* Wider and narrower lanes. */
    {0xFFE01FF0u, 0xEEA00FC0u, TE_VECTOR_ADD, TE_QD_R, true},            /* VSHLC */
    {0xEFA00FD1u, 0xEEA00F40u, TE_VECTOR_ADD, TE_QD_QM, false},          /* VSHLL, VMOVL */
    {0xEFA00F50u, 0xEE800F40u, TE_VECTOR_NARROW, TE_QD_QM, true},        /* VSHRN, VQSHRN and the like */
    {0xEFB30FD1u, 0xEE310E01u, TE_VECTOR_ADD, TE_QD_QM, false},          /* VSHLL by a whole lane */
    {0xEFB30FD1u, 0xEE310E81u, TE_VECTOR_NARROW, TE_QD_QM, true},        /* VMOVN, VQMOVUN */
    {0xEFBF0FD1u, 0xEE3F0E01u, TE_VECTOR_NARROW, TE_QD_QM, true},        /* VCVT of half precision */
    {0xEFB30FD1u, 0xEE330E01u, TE_VECTOR_NARROW, TE_QD_QM, true},        /* VQMOVN */
    {0xEFB30FD1u, 0xEE330E81u, TE_VECTOR_ADD, TE_QD_QM, true},           /* VMAXA, VMINA */
    {0xEFB10F51u, 0xEE310E00u, TE_VECTOR_SHIFT, TE_QD_QN_QM, false},     /* VMULL of polynomials */
    {0xEF810F50u, 0xEE010E00u, TE_VECTOR_MULTIPLY, TE_QD_QN_QM, false},  /* VMULL, VMULH, VRMULH */
    {0xEF810F50u, 0xEE000E00u, TE_VECTOR_MULTIPLY, TE_QD_QN_QM, true},   /* VQDMLADH, VQDMLSDH, VCMUL and the like */
    {0xEFB10F51u, 0xEE300F00u, TE_VECTOR_SHIFT, TE_QD_QN_QM, false},     /* VADC, VSBC */
    {0xEFB10F51u, 0xEE300F01u, TE_VECTOR_MULTIPLY, TE_QD_QN_QM, false},  /* VQDMULL */
    {0xEF810F51u, 0xEE000F00u, TE_VECTOR_ADD, TE_QD_QN_QM, false},       /* VCADD, VHCADD */
    {0xFEA11F51u, 0xFC800840u, TE_VECTOR_COMPARE, TE_QD_QN_QM, false},   /* VCADD of floats */
    {0xFE211F51u, 0xFC200840u, TE_VECTOR_MULTIPLY, TE_QD_QN_QM, true},   /* VCMLA */
    /* A vector and a core register. */
    {0xFFB10F5Fu, 0xEEA00B10u, TE_VECTOR_ADD, TE_QN_FROM_R, false},      /* VDUP */
    {0xEFB10F70u, 0xEE300F40u, TE_VECTOR_MULTIPLY, TE_QD_QN_R, false},   /* VADD, VSUB of floats */
    {0xEF800F70u, 0xEE000F40u, TE_VECTOR_ADD, TE_QD_QN_R, false},        /* VADD, VSUB, VHADD, VHSUB */
    {0xEF810F70u, 0xEE010F60u, TE_VECTOR_ADD, TE_QD_COUNTED, false},     /* VIDUP, VDDUP, VIWDUP, VDWDUP */
    {0xEFB10F70u, 0xEE300F60u, TE_VECTOR_MULTIPLY, TE_QD_QN_R, false},   /* VQDMULL */
    {0xEF810F70u, 0xEE000F60u, TE_VECTOR_ADD, TE_QD_QN_R, false},        /* VQADD, VQSUB */
    {0xEFB31FF0u, 0xEE311E60u, TE_VECTOR_ADD, TE_QD_R, true},            /* VSHL */
    {0xEFB11F70u, 0xEE311E60u, TE_VECTOR_SHIFT, TE_QD_R, true},          /* VQSHL, VRSHL, VQRSHL */
    {0xFF811F70u, 0xFE011E60u, TE_VECTOR_ADD, TE_QD_QN_R, false},        /* VBRSR */
    {0xEF810F70u, 0xEE010E60u, TE_VECTOR_MULTIPLY, TE_QD_QN_R, false},   /* VMUL, VQDMULH, VQRDMULH */
    {0xEF800F50u, 0xEE000E40u, TE_VECTOR_MULTIPLY, TE_QD_QN_R, true},    /* VMLA, VMLAS, VFMA, VQDMLAH and the like */
};

/* --- Memory --------------------------------------------------------------------------------------------------------- */

/* VLDR, VSTR, their gathers and scatters, VLD2 and VLD4: those have 1110 or 1111 in bits 11 to 8. */
static void load_or_store(te_instruction *out, uint32_t first, uint32_t second) {
    const bool load = te_bits(first, 4, 4) != 0u, writes_back = te_bits(first, 5, 5) != 0u;
    const bool before = te_bits(first, 8, 8) != 0u, upper = te_bits(first, 12, 12) != 0u;
    const bool whole = te_bits(second, 12, 12) != 0u;
    const uint8_t qd = te_vector(te_bits(second, 15, 13));
    out->words = TE_VECTOR_BYTES / 4u;
    *(load ? &out->vector_writes : &out->vector_reads) = qd;
    if (whole && upper && before) { /* Addresses in a vector. */
        out->kind = (uint8_t)(load ? TE_VECTOR_GATHER : TE_VECTOR_SCATTER);
        out->vector_addressing = te_vector(te_bits(first, 3, 1));
        out->vector_writes |= writes_back ? out->vector_addressing : 0u;
        out->words = te_bits(second, 8, 8) != 0u ? 2u : 4u;
        return;
    }
    out->addressing = te_reg(whole ? te_bits(first, 3, 0) : te_bits(first, 2, 0));
    out->writes = writes_back ? out->addressing : 0u;
    if (!whole && !before && !writes_back) { /* Offsets in a vector. */
        out->kind = (uint8_t)(load ? TE_VECTOR_GATHER : TE_VECTOR_SCATTER);
        out->addressing = te_reg(te_bits(first, 3, 0));
        out->vector_addressing = te_vector(te_bits(second, 3, 1));
        out->words = (uint8_t)(TE_VECTOR_BYTES >> te_bits(second, 8, 7));
    } else if (whole && upper) { /* A part of two or four vectors. */
        out->kind = (uint8_t)(load ? TE_VECTOR_LOAD_PART : TE_VECTOR_STORE_PART);
        const uint8_t vectors = te_bits(second, 0, 0) != 0u ? 15u : 3u;
        *(load ? &out->vector_writes : &out->vector_reads) = (uint8_t)(vectors << te_bits(second, 15, 13));
    } else if (!whole && te_bits(second, 8, 7) == 3u) { /* VPR or FPSCR. */
        out->kind = (uint8_t)(load ? TE_FLOAT_LOAD : TE_FLOAT_STORE);
        out->words = 1;
        out->addressing = te_reg(te_bits(first, 3, 0));
        out->vector_reads = out->vector_writes = 0;
    } else {
        out->kind = (uint8_t)(load ? TE_VECTOR_LOAD : TE_VECTOR_STORE);
    }
}

/* --- Loops ---------------------------------------------------------------------------------------------------------- */

/* DLS, WLS, LE, LCTP, and those that predicate the last vectors. */
static void loop(te_instruction *out, uint32_t first, uint32_t second) {
    const uint32_t rn = te_bits(first, 3, 0);
    const bool branches = te_bits(second, 13, 13) == 0u;
    out->kind = (uint8_t)(branches && rn == PC ? TE_LOOP_END : branches ? TE_BRANCH : TE_ALU);
    out->reads = te_reg(rn == PC ? LR : rn);
    out->writes = te_reg(LR);
}

/* --- Arithmetic ----------------------------------------------------------------------------------------------------- */

/* VMOV between two core registers and two lanes. */
static void two_lanes(te_instruction *out, uint32_t first, uint32_t second) {
    const bool from_vector = te_bits(first, 4, 4) == 0u;
    const uint8_t qd = te_vector(te_bits(second, 15, 13));
    out->kind = TE_VECTOR_MOVE;
    *(from_vector ? &out->writes : &out->reads) =
        (uint16_t)(te_reg(te_bits(first, 3, 0)) | te_reg(te_bits(second, 3, 0)));
    out->vector_reads = qd;
    out->vector_writes = from_vector ? 0u : qd;
}

/* The core register of an extreme, or those of a sum. */
static void name_result(te_instruction *out, uint32_t first, uint32_t second) {
    if (out->kind == TE_VECTOR_REDUCE) {
        out->reads = out->writes = te_reg(te_bits(second, 15, 12));
        return;
    }
    static const uint32_t none = 7;
    const uint32_t low = te_bits(second, 15, 13), high = te_bits(first, 6, 4);
    out->writes = te_reg(low << 1);
    if (high != none) {
        out->writes |= te_reg(high << 1 | 1u);
    }
    if (te_bits(second, 5, 5) != 0u) { /* Added to what is there. */
        out->reads = out->writes;
    }
}

static void name_registers(te_instruction *out, const te_encoding *encoding, uint32_t first, uint32_t second) {
    const uint8_t qd = te_vector(te_bits(second, 15, 13)), qn = te_vector(te_bits(first, 3, 1));
    const uint8_t qm = te_vector(te_bits(second, 3, 1));
    const uint16_t rm = te_reg(te_bits(second, 3, 0));
    switch ((te_operands)encoding->operands) {
    case TE_NOTHING:
        break;
    case TE_QD:
        out->vector_writes = qd;
        break;
    case TE_QD_QM:
        out->vector_writes = qd;
        out->vector_reads = qm;
        break;
    case TE_QD_QN_QM:
        out->vector_writes = qd;
        out->vector_reads = (uint8_t)(qn | qm);
        break;
    case TE_QD_QN_R:
        out->vector_writes = qd;
        out->vector_reads = qn;
        out->reads = rm;
        break;
    case TE_QD_R:
        out->vector_writes = qd;
        out->reads = rm;
        break;
    case TE_QD_COUNTED:
        out->vector_writes = qd;
        out->reads = out->writes = te_reg(te_bits(first, 3, 1) << 1);
        break;
    case TE_QN_QM:
        out->vector_reads = (uint8_t)(qn | qm);
        break;
    case TE_QN_R:
        out->vector_reads = qn;
        out->reads = rm;
        break;
    case TE_QN_FROM_R:
        out->vector_writes = qn;
        out->reads = te_reg(te_bits(second, 15, 12));
        break;
    case TE_R_QM:
        out->vector_reads = qm;
        name_result(out, first, second);
        break;
    case TE_R_QN_QM:
        out->vector_reads = (uint8_t)(qn | qm);
        name_result(out, first, second);
        break;
    }
    if (encoding->accumulates) {
        out->vector_reads |= out->vector_writes;
    }
}

bool te_mve_decode(te_instruction *out, uint16_t first, uint16_t second) {
    if (te_bits(first, 15, 11) == 0x1Eu) {
        const bool is_loop = te_bits(second, 15, 14) == 3u && te_bits(second, 12, 12) == 0u;
        const bool is_vctp = (first & 0xFFC0u) == 0xF000u && (second & 0xF801u) == 0xE801u;
        if (is_vctp) {
            out->kind = TE_VECTOR_PREDICATE;
            out->reads = te_reg(te_bits(first, 3, 0));
        } else if (is_loop) {
            loop(out, first, second);
        }
        return is_loop || is_vctp;
    }
    if ((first & 0xFFE0u) == 0xEC00u && (second & 0x1FE0u) == 0x0F00u) {
        two_lanes(out, first, second);
        return true;
    }
    if ((first & 0xEE00u) == 0xEC00u && (second & 0x0E00u) == 0x0E00u) {
        load_or_store(out, first, second);
        return true;
    }
    const uint32_t word = (uint32_t)first << 16 | second;
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++) {
        const te_encoding *encoding = &encodings[i];
        if ((word & encoding->mask) == encoding->bits) {
            out->kind = encoding->kind;
            name_registers(out, encoding, first, second);
            return true;
        }
    }
    return false;
}
