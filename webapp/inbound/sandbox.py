"""What the parser process takes from itself before it reads the first message: network, programs, our files.

Two things of the Linux kernel, each good for itself: a seccomp filter refuses the calls that reach other
machines, programs and processes (EPERM), and Landlock leaves it only the files that Python is made of to
read, and none to write. Where a kernel has one of them not, the other stands.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, KILL_PROCESS, REFUSE = 0x7FFF0000, 0x80000000, 0x00050001  # the last: EPERM
LOAD, JUMP_IF_EQUAL, JUMP_IF_NOT_BELOW, RETURN = 0x20, 0x15, 0x35, 0x06  # classic BPF
X32 = 0x40000000  # numbers from here on are x86_64's second table

# audit architecture, then the numbers: sockets, other programs, other processes, and ways around a filter.
REFUSED = {
    "x86_64": (0xC000003E, {
        "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50,
        "socketpair": 53, "accept4": 288, "sendmmsg": 307,
        "execve": 59, "execveat": 322, "fork": 57, "vfork": 58, "clone": 56, "clone3": 435,
        "ptrace": 101, "kill": 62, "tkill": 200, "tgkill": 234, "process_vm_readv": 310,
        "process_vm_writev": 311, "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424,
        "io_uring_setup": 425, "bpf": 321, "userfaultfd": 323, "perf_event_open": 298, "keyctl": 250,
        "add_key": 248, "request_key": 249, "unshare": 272, "setns": 308, "mount": 165, "memfd_create": 319,
        "open_by_handle_at": 304,
    }),
    "aarch64": (0xC00000B7, {
        "socket": 198, "connect": 203, "accept": 202, "sendto": 206, "sendmsg": 211, "bind": 200,
        "listen": 201, "socketpair": 199, "accept4": 242, "sendmmsg": 269,
        "execve": 221, "execveat": 281, "clone": 220, "clone3": 435,
        "ptrace": 117, "kill": 129, "tkill": 130, "tgkill": 131, "process_vm_readv": 270,
        "process_vm_writev": 271, "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424,
        "io_uring_setup": 425, "bpf": 280, "userfaultfd": 282, "perf_event_open": 241, "keyctl": 219,
        "add_key": 217, "request_key": 218, "unshare": 97, "setns": 268, "mount": 40, "memfd_create": 279,
        "open_by_handle_at": 265,
    }),
}  # fmt: skip

# Landlock, version 1: the numbers are the same on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
READ_FILE, READ_DIR = 1 << 2, 1 << 3
EVERY_RIGHT = (1 << 13) - 1
PATH_BENEATH = 1


def close_off() -> list[str]:
    """Take it all away, for ever; what the kernel did not grant, in words for the log."""
    missing = []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return ["no privileges could be given up (prctl)"]
    for what, step in (
        ("files (Landlock)", _restrict_files),
        ("network and programs (seccomp)", _filter_calls),
    ):
        try:
            step(libc)
        except OSError as error:
            missing.append(f"{what}: {error.strerror or error}")
    return missing


def _restrict_files(libc: ctypes.CDLL) -> None:
    """Raises OSError where the kernel has no Landlock, or it is switched off."""
    ruleset = _call(libc, CREATE_RULESET, ctypes.byref(ctypes.c_uint64(EVERY_RIGHT)), ctypes.c_size_t(8), 0)
    try:
        for path, rights in _readable():
            _allow(libc, ruleset, path, rights)
        _call(libc, RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _readable() -> Iterator[tuple[Path, int]]:
    """Python, its libraries and our own code; of other folders on its path only the list of names."""
    code = Path(__file__).resolve().parents[1]
    paths = {code, Path("/usr/lib"), Path("/lib"), Path("/usr/share/zoneinfo"), Path("/etc/ld.so.cache")}
    paths |= {Path(folder) for folder in sysconfig.get_paths().values()}
    paths |= {Path(sys.base_prefix) / "lib", Path(sys.base_prefix) / "lib64", Path("/dev/null")}
    for path in paths:
        if path.is_dir():
            yield path, READ_FILE | READ_DIR
        elif path.exists():
            yield path, READ_FILE
    for folder in {Path(entry) for entry in sys.path if entry}:
        if folder.is_dir():
            yield folder, READ_DIR


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor))
        _call(libc, ADD_RULE, ruleset, PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)


def _filter_calls(libc: ctypes.CDLL) -> None:
    """Raises OSError where the kernel has no filter, or we do not know its numbers."""
    machine = platform.machine() if sys.maxsize > 2**32 else "32 bits"
    if machine not in REFUSED:
        raise OSError(f"no numbers are known for {machine}")
    architecture, numbers = REFUSED[machine]
    program = ctypes.create_string_buffer(_program(architecture, sorted(numbers.values())))
    header = struct.pack("HxxxxxxP", len(program.raw) // 8, ctypes.addressof(program))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _program(architecture: int, numbers: list[int]) -> bytes:
    """Classic BPF over struct seccomp_data: the number at 0, the architecture at 4."""
    refuse_at = len(numbers) + 1  # how far the refusal is from the first comparison of numbers
    steps = [
        (LOAD, 0, 0, 4),
        (JUMP_IF_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, 0),
        (JUMP_IF_NOT_BELOW, refuse_at, 0, X32),
        *((JUMP_IF_EQUAL, refuse_at - 1 - at, 0, number) for at, number in enumerate(numbers)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _call(libc: ctypes.CDLL, number: int, *arguments: object) -> int:
    done: int = libc.syscall(number, *arguments)
    if done < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return done
