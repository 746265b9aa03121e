#!/usr/bin/env python3
"""The numbers of src/kernels/normalize/gelu_constants.h: tools/fit_gelu.py [--check HEADER]

g(z) = e^(z^2 / 2) erfc(z / sqrt 2) / 2 in 16 intervals of w = z + 1 (four to an octave of [1, 16)), each by the polynomial
of degree 6 in z - (middle - 1) that meets g in the Chebyshev nodes; 2^f for |f| <= 1/32 by 1 + f a(f), a of degree 2,
likewise; and 2^(i / 16). All are worked out to 40 digits and rounded to f32 once. Prints them with the largest relative
errors of the rounded polynomials in exact arithmetic; --check tells whether a header has them. Wants mpmath."""
import re
import struct
import sys

import mpmath

mpmath.mp.dps = 40
DEGREE, SAMPLES = 6, 200


def f32(x):
    return struct.unpack("<f", struct.pack("<f", float(x)))[0]


def bits(x):
    return struct.unpack("<I", struct.pack("<f", float(x)))[0]


def g(z):
    return mpmath.exp(z * z / 2) * mpmath.erfc(z / mpmath.sqrt(2)) / 2


def power(f):
    """(2^f - 1) / f"""
    return mpmath.expm1(f * mpmath.log(2)) / f if f else mpmath.log(2)


def fit(function, middle, half, degree):
    """Coefficients of (x - middle)^0 .. ^degree, as f32."""
    nodes = [half * mpmath.cos(mpmath.pi * (2 * k + 1) / (2 * degree + 2)) for k in range(degree + 1)]
    matrix = mpmath.matrix([[node**power for power in range(degree + 1)] for node in nodes])
    values = mpmath.matrix([function(middle + node) for node in nodes])
    return [f32(c) for c in mpmath.lu_solve(matrix, values)]


def worst(function, coefficients, middle, half):
    error = 0
    for i in range(SAMPLES + 1):
        u = half * (2 * mpmath.mpf(i) / SAMPLES - 1)
        true = function(middle + u)
        error = max(error, abs(mpmath.polyval([mpmath.mpf(c) for c in coefficients[::-1]], u) / true - 1))
    return float(error)


def main(arguments):
    columns, error = [], 0
    for i in range(16):
        low = mpmath.mpf(2) ** (i // 4) * (1 + mpmath.mpf(i % 4) / 4)
        half = mpmath.mpf(2) ** (i // 4) / 8
        columns.append(fit(g, low + half - 1, half, DEGREE))
        error = max(error, worst(g, columns[-1], low + half - 1, half))
    # Index: bits 21 .. 24 of w. The exponent's lowest bits of [1, 2) are 11, of [2, 4) 00: interval i is entry i + 12.
    rows = [[columns[(entry - 12) % 16][power] for entry in range(16)] for power in range(DEGREE, -1, -1)]
    exponent = fit(power, mpmath.mpf(0), mpmath.mpf(1) / 32, 2)
    error_of_power = worst(lambda f: mpmath.power(2, f), [1.0, *exponent], mpmath.mpf(0), mpmath.mpf(1) / 32)
    powers = [(bits(mpmath.power(2, mpmath.mpf(i) / 16)) - (i << 19)) & 0xFFFFFFFF for i in range(16)]
    numbers = [c for row in rows for c in row] + exponent[::-1] + [f32(-1 / (2 * mpmath.log(2)))]
    print("relative error of g %.2g, of 2^f %.2g" % (error, error_of_power))
    if arguments[:1] == ["--check"]:
        text = open(arguments[1]).read()
        had = re.search(r"k_gelu_begin(.*)k_gelu_end", text, re.S)[1]
        floats = [float(x) for x in re.findall(r"(-?[0-9][0-9.e+-]*)f\b", had)]
        words = [int(x, 16) for x in re.findall(r"0x([0-9a-f]{8})u", had)]
        same = [bits(x) for x in floats] == [bits(x) for x in numbers] and words == powers
        print("the header has them" if same else "THE HEADER DIFFERS")
        return 0 if same else 1
    for row in rows:
        print("    {" + ", ".join("%.9gf" % c for c in row) + "},")
    print(", ".join("%.9gf" % c for c in exponent[::-1]), "; %.9gf" % f32(-1 / (2 * mpmath.log(2))))
    print(", ".join("0x%08xu" % w for w in powers))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
