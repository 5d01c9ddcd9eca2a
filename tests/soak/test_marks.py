from __future__ import annotations

from tests.soak.marks import UNMARKED, Marker, key_of


def test_marks_are_found_in_texts_and_values_in_their_order():
    marker = Marker("c7")
    first, second, third = (marker.mark() for _ in range(3))
    assert len({first, second, third}) == 3
    assert key_of(f"/* {first} */ SELECT '{second}'", [f"'{third}'"]) == (first, second, third)


def test_a_mark_is_not_taken_for_a_longer_one():
    assert key_of("/* soak:c1:1 */") != key_of("/* soak:c1:12 */")


def test_a_text_without_marks_is_its_own_key_whatever_its_blanks():
    assert key_of("SELECT  1\n") == key_of("SELECT 1") == (UNMARKED, "SELECT 1")
