"""``zoo diagnose --init`` and ``--algorithm``."""

import pytest

from cli.commands.diagnose import command
from zoo.errors import OptionError


def test_init_writes_a_file_that_runs_as_python_and_is_never_overwritten(tmp_path):
    target = tmp_path / "train.py"
    command(init=target)
    compile(target.read_text(), str(target), "exec")
    with pytest.raises(OptionError, match="exists"):
        command(init=target)


def test_data_that_is_missing_is_an_error_with_an_example():
    with pytest.raises(OptionError, match="DATA is missing"):
        command()


def test_an_algorithm_file_that_is_not_there_is_told_before_any_work(tmp_path):
    with pytest.raises(OptionError, match="no file"):
        command(str(tmp_path), algorithm=tmp_path / "none.py")
