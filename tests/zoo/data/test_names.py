from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zoo.data.names import class_name, nearly_equal_names, printable


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_name_can_be_printed_on_one_line(name: str) -> None:
    shown = printable(name)
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown


def test_marks_that_turn_the_text_around_are_shown() -> None:
    assert printable("cat\u202egnp.exe") == r"cat\u202egnp.exe"
    assert printable("bell\x07") == r"bell\x07"


def test_letters_of_any_script_are_kept() -> None:
    assert printable("Größe 雪 🐈") == "Größe 雪 🐈"


def test_the_name_of_a_class_is_composed() -> None:
    assert class_name("e\u0301") == "\u00e9"


def test_names_that_differ_in_more_than_spelling_are_no_slip() -> None:
    assert nearly_equal_names(["cat", "cats", "c at"]) == []
    assert nearly_equal_names(["T-shirt", "t_shirt", "t shirt", "TSHIRT"]) == [("T-shirt", "t shirt", "t_shirt")]
