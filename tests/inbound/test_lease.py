"""One process at a time, and never longer than it lives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import make_instance
from webapp.inbound.lease import LeaseBusy, lease
from webapp.instance import Instance

HOLDER = """
import sys, time
from webapp.inbound.lease import lease
from webapp.instance import open_instance

with lease(open_instance(environ={"SERVICEDESK_INSTANCE": sys.argv[1]}), 1):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    instance = make_instance(tmp_path)
    yield instance
    instance.close()


def test_a_second_process_is_refused_and_the_first_ones_death_frees_it(instance: Instance) -> None:
    command = [sys.executable, "-c", HOLDER, str(instance.settings.instance)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LeaseBusy), lease(instance, 1):
            pass
        holder.kill()
    with lease(instance, 1, wait=5):
        pass


def test_mailboxes_have_leases_of_their_own(instance: Instance) -> None:
    with lease(instance, 1), lease(instance, 2):
        pass


def test_it_is_given_back_at_the_end_and_on_an_error(instance: Instance) -> None:
    with pytest.raises(RuntimeError), lease(instance, 1):
        raise RuntimeError
    with lease(instance, 1), pytest.raises(LeaseBusy), lease(instance, 1):
        pass
    with lease(instance, 1):
        pass
