"""What the README says about speed is what the results file that it names says."""

from __future__ import annotations

import re

from benchmarks.machine import ROOT

BLOCK = re.compile(r"<!-- figures: from (\S+) -->\n(.*?)<!-- figures: end -->", re.DOTALL)
# What a figure may look like in the README; "to" is a range of two figures.
QUOTED = re.compile(r"(\d+(?:\.\d+)?)(?: to (\d+(?:\.\d+)?))?\s(times|us|KB|MB)\b")
ROUNDS = re.compile(r"(\d+) rounds of (\d+) seconds")
CLIENTS = re.compile(r"\b\d+\sclients?\b")
# The results file writes "1.65x", "3.0 us", "16.1 KB".
MEASURED = re.compile(r"(\d[\d,]*(?:\.\d+)?)(x| us| KB| MB)(?![a-z])")

Figure = tuple[str, str]


def quoted_figures(words: str) -> list[Figure]:
    """Every figure with its unit, as it is written."""
    return [
        (figure, unit)
        for first, last, unit in QUOTED.findall(words)
        for figure in (first, last)
        if figure
    ]


def unexplained_numbers(words: str) -> list[str]:
    """Numbers in no form that is checked: nobody would find out that they are wrong."""
    for form in (QUOTED, ROUNDS, CLIENTS):
        words = form.sub("", words)
    return re.findall(r"\S*\d\S*", words)


def absent_figures(words: str, results: str) -> list[Figure]:
    """The figures that the results do not have, to the digits that are quoted."""
    measured = [
        (float(figure.replace(",", "")), "times" if unit == "x" else unit.strip())
        for figure, unit in MEASURED.findall(results)
    ]
    return [
        (figure, unit)
        for figure, unit in quoted_figures(words)
        if not any(
            unit == other and f"{value:.{len(figure.partition('.')[2])}f}" == figure
            for value, other in measured
        )
    ]


def test_every_figure_of_the_readme_is_in_the_results_file_that_it_names():
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    assert blocks, "the README has no block of figures"
    for name, words in blocks:
        results = (ROOT / name).read_text()
        assert quoted_figures(words), f"nothing is quoted from {name}"
        assert absent_figures(words, results) == []
        assert unexplained_numbers(words) == []
        for rounds, seconds in ROUNDS.findall(words):
            assert f"rounds: {rounds}, windows of {seconds} s" in results


def test_every_block_of_figures_is_closed():
    text = (ROOT / "README.md").read_text()
    assert text.count("<!-- figures: from ") == text.count("<!-- figures: end -->")
    assert text.count("<!-- figures: from ") == len(BLOCK.findall(text))


def test_a_figure_that_was_not_measured_is_found_out():
    results = "| CPU | 1.65x (1.63..1.73) | 3.0 us | 16.1 KB | 4,096 KB |"
    true = "It costs 1.65 times the CPU, 2\ntimes rounded, 3 us, 16 KB and 4096 KB."
    assert absent_figures(true, results) == []
    false = "It costs 1.64 times the CPU, 0.9 to 1.65 times, 16 us, 17 KB."
    assert absent_figures(false, results) == [
        ("1.64", "times"), ("0.9", "times"), ("16", "us"), ("17", "KB"),
    ]  # fmt: skip


def test_a_number_in_another_form_is_found_out():
    assert unexplained_numbers("3 rounds of 2 seconds, 8 clients, 1.65 times, a million") == []
    assert unexplained_numbers("the aim is 1.3, and 25,000/s") == ["1.3,", "25,000/s"]
