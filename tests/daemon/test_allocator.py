"""What is freed and what is needed again: in a process of its own, since the setting is the process's."""

import mmap
import platform
import subprocess
import sys
from typing import Final

import pytest

_CHURN: Final = """
import resource, sys
from openclawd.daemon.allocator import keep_freed_memory

def churn():
    buffers = [bytearray(b"x") * 65536 for _ in range(64)]
    buffers.clear()

def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if "keep" in sys.argv:
    keep_freed_memory()
churn()
before = page_faults()
for _ in range(10):
    churn()
print(page_faults() - before)
"""
_PAGES: Final = 64 * 65536 // mmap.PAGESIZE


def page_faults(*arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _CHURN, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone has these settings")
def test_memory_that_a_crowd_needs_again_is_not_given_back_in_between() -> None:
    assert page_faults() > 9 * _PAGES
    assert page_faults("keep") < _PAGES
