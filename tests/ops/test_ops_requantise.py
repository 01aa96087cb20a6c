"""Products by halves, for cores that have no other, equal those of 64 bits."""

import subprocess

from machines.case_machines import KERNELS, SANITISERS, WARNINGS

PROGRAM = """
#include <stdio.h>
#include "te_requantise.h"

/* Values about every power of two, of both signs, and about the ends of the range; then random ones. */
static int32_t edges[400], edge_count;
static int64_t wide[600], wide_count;

static void add(int64_t value) {
    if (value >= INT32_MIN && value <= INT32_MAX) {
        edges[edge_count++] = (int32_t)value;
    }
    wide[wide_count++] = value;
}

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int differs(int32_t a, int32_t b) {
    /* The reference: the whole product, half a unit, a shift that rounds down. */
    const int64_t exact = (int64_t)(((__int128)a * b + ((__int128)1 << 30)) >> 31);
    const int32_t expected = (int32_t)(uint32_t)(uint64_t)exact;
    if (te_high_product_by_halves(a, b) == expected && te_high_product(a, b) == expected) {
        return 0;
    }
    printf("%d * %d: %d, %d, not %d\\n", a, b, te_high_product_by_halves(a, b), te_high_product(a, b), expected);
    return 1;
}

int main(void) {
    for (int bit = 0; bit < 47; ++bit) {
        for (int64_t near = -2; near <= 2; ++near) {
            add(((int64_t)1 << bit) + near);
            add(-((int64_t)1 << bit) + near);
        }
    }
    add(INT32_MIN);
    add(INT32_MAX);
    long compared = 0;
    for (int32_t i = 0; i < edge_count; ++i) {
        for (int32_t j = 0; j < edge_count; ++j, ++compared) {
            if (differs(edges[i], edges[j])) {
                return 1;
            }
        }
    }
    for (int32_t i = 0; i < 3000000; ++i) {
        const uint64_t bits = next_random();
        if (differs((int32_t)(uint32_t)bits >> (bits >> 59), (int32_t)(uint32_t)(bits >> 32))) {
            return 1;
        }
    }
    for (int32_t multiplier = 0; multiplier < 32768; multiplier += multiplier < 600 || multiplier > 32000 ? 1 : 97) {
        for (int32_t i = 0; i < wide_count; ++i, ++compared) {
            if (te_product_s64_by_halves(wide[i], multiplier) != wide[i] * multiplier) {
                printf("%lld * %d\\n", (long long)wide[i], multiplier);
                return 1;
            }
        }
    }
    printf("%ld\\n", compared);
    return 0;
}
"""


def test_products_by_halves_are_those_of_64_bits(tmp_path):
    source, program = tmp_path / "products.c", tmp_path / "products"
    source.write_text(PROGRAM)
    warnings = [flag for flag in WARNINGS if flag != "-pedantic"]  # __int128 is GCC's.
    subprocess.run(
        ["gcc", "-std=gnu99", "-O2", *warnings, *SANITISERS, f"-I{KERNELS}", source, "-o", program], check=True
    )
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 600_000
