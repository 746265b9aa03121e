"""Prints the table of tests/tensor/activation_test.cpp: exp_f32 of src/tensor/activation.h, where every float
operation is done in exact rational arithmetic and rounded once to f32."""
from fractions import Fraction
import numpy as np


def rounded(exact):
    """The f32 nearest to a rational, ties to even (normal range only)."""
    if exact == 0:
        return Fraction(0)
    sign, magnitude, exponent = (-1 if exact < 0 else 1), abs(exact), 0
    while magnitude >= 1 << 24:
        magnitude /= 2
        exponent += 1
    while magnitude < 1 << 23:
        magnitude *= 2
        exponent -= 1
    return sign * Fraction(round(magnitude)) * Fraction(2) ** exponent  # round() of a Fraction takes ties to even


def f(text):
    return Fraction(float.fromhex(text))


def exp_f32(x):
    x = min(max(Fraction(float(x)), Fraction(-87)), Fraction(88))
    n = round(rounded(x * f("0x1.715476p+0")))
    r = rounded(-n * f("0x1.62e400p-1") + x)
    r = rounded(-n * f("0x1.7f7d1cp-20") + r)
    p = f("0x1.a0d2cep-13")
    for c in ("0x1.6e879cp-10", "0x1.111210p-7", "0x1.555382p-5", "0x1.555554p-3", "0x1.000000p-1"):
        p = rounded(p * r + f(c))
    y = rounded(rounded(p * rounded(r * r) + r) + 1)
    return int(np.float32(float(y)).view(np.uint32)) + (n << 23)


if __name__ == "__main__":
    for text in ("-87", "-86.5", "-50.25", "-10.1", "-1.7", "-0.34657359", "-1e-3", "0x1p-30", "0.1", "0.3465736", "0.5",
                 "1", "2.71828", "9.99", "31.4159", "64", "87.3", "88"):
        x = np.float32(float.fromhex(text) if "0x" in text else float(text))
        print(f"      {{{float(x).hex()}f, 0x{exp_f32(x):08x}u}},")
