"""Refuses the permission for AMX to this process and all it starts, so that libraries fall back to AVX512: a seccomp filter that
answers arch_prctl(ARCH_REQ_XCOMP_PERM, ...) with EPERM. Linux on x86-64.

usage: no_amx.py COMMAND...   runs it so
"""
import ctypes
import os
import struct
import sys

_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM = 158, 0x1023
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _ERRNO_EPERM = 0x7FFF0000, 0x00050001


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def refuse_amx():
    # Load the number, compare, load the first argument, compare (struct seccomp_data: nr at 0, args at 16).
    code = [(0x20, 0, 0, 0), (0x15, 0, 3, _ARCH_PRCTL), (0x20, 0, 0, 16), (0x15, 0, 1, _ARCH_REQ_XCOMP_PERM),
            (0x06, 0, 0, _ERRNO_EPERM), (0x06, 0, 0, _ALLOW)]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    program = _Program(len(code), ctypes.cast(instructions, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "seccomp")


def amx_refused():
    """Whether the permission is refused: tries to get it."""
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, 18) != 0 and ctypes.get_errno() == 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: no_amx.py COMMAND...")
    refuse_amx()
    os.execvp(sys.argv[1], sys.argv[1:])
