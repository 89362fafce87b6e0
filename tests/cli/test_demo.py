"""zoo demo, as a person types it."""

from pathlib import Path

import pytest

import zoo
from cli.commands.demo import command
from zoo import demo
from zoo.errors import OptionError


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders of the runs that the demo would make; nothing is trained."""
    runs: list[Path] = []

    def finetune(model: str, data: Path, *, out: Path, **_: object) -> None:
        assert len(list(data.rglob("*.png"))) == 20
        runs.append(out)
        raise KeyboardInterrupt

    write = demo.write_digits
    monkeypatch.setattr(demo, "write_digits", lambda folder: write(folder, per_class=2))
    monkeypatch.setattr(zoo, "finetune", finetune)
    monkeypatch.chdir(tmp_path)
    return runs


def test_the_demo_may_be_run_again(made: list[Path]) -> None:
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            command()
    assert [str(path) for path in made] == ["demo/run", "demo-2/run", "demo-3/run"]


def test_the_demo_goes_where_it_is_told_to_and_overwrites_nothing(made: list[Path], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        command(out=tmp_path / "mine")
    assert made == [tmp_path / "mine" / "run"]
    with pytest.raises(OptionError, match="not empty"):
        command(out=tmp_path / "mine")
