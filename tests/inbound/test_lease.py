"""One process at a time, and never longer than it lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from webapp.inbound.lease import LeaseBusy, lease

HOLDER = (
    "import sys, time; from pathlib import Path; from webapp.inbound.lease import lease\n"
    "with lease(Path(sys.argv[1]), 1): print('held', flush=True); time.sleep(60)\n"
)


def test_a_second_process_is_refused_and_the_first_ones_death_frees_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LeaseBusy), lease(tmp_path, 1):
            pass
        holder.kill()
    with lease(tmp_path, 1, wait=5):
        pass


def test_mailboxes_have_leases_of_their_own(tmp_path: Path) -> None:
    with lease(tmp_path, 1), lease(tmp_path, 2):
        pass


def test_it_is_given_back_at_the_end_and_on_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), lease(tmp_path, 1):
        raise RuntimeError
    with lease(tmp_path, 1):
        pass
