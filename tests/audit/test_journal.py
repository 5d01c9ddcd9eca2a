from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.audit.entry import CHECK, HEAD, HEAD_SIZE
from proxy.audit.journal import (
    NAME,
    SEGMENT_HEAD,
    TEXT_LIMIT,
    Journal,
    JournalFullError,
    read_journal,
)

SMALL = {"segment_size": 132 * 1024, "segments": 4}


@dataclass
class Owner:
    place: int = 0


def begin(journal, number, text=b"SELECT 1", session=1):
    owner = Owner()
    owner.place = journal.begin(owner, session, number, float(number), text, len(text))
    return owner


@pytest.fixture
def journal(tmp_path):
    made = Journal.create(tmp_path, **SMALL)
    yield made
    made.close()


def numbers(folder):
    return [entry.number for entry in read_journal(folder).statements]


def test_an_entry_is_there_as_soon_as_it_has_begun(journal, tmp_path):
    begin(journal, 1, b"DELETE FROM accounts")
    (entry,) = read_journal(tmp_path).statements
    assert (entry.session, entry.number, entry.text) == (1, 1, b"DELETE FROM accounts")
    assert entry.text_length == 20


def test_a_settled_entry_is_gone(journal, tmp_path):
    first, _ = begin(journal, 1), begin(journal, 2)
    journal.settle(first)
    assert numbers(tmp_path) == [2]
    journal.settle(first)


def test_a_long_text_is_cut_and_its_length_kept(journal, tmp_path):
    begin(journal, 1, b"x" * 10_000)
    (entry,) = read_journal(tmp_path).statements
    assert entry.text == b"x" * TEXT_LIMIT
    assert entry.text_length == 10_000


def test_the_file_is_reserved_and_for_its_owner_alone(journal, tmp_path):
    status = (tmp_path / NAME).stat()
    assert status.st_size == 132 * 1024 * 4
    assert status.st_blocks * 512 >= status.st_size
    assert status.st_mode & 0o777 == 0o600


def test_no_file_is_an_empty_journal(tmp_path):
    assert read_journal(tmp_path).statements == []


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 100_000, b"ACPJRNL1" + b"\xff" * 50])
def test_a_file_that_is_no_journal_is_an_empty_one(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    assert read_journal(tmp_path).statements == []


def test_a_statement_that_runs_for_ever_does_not_hold_the_journal(journal, tmp_path):
    endless = begin(journal, 0, b"SELECT pg_sleep(1e9)")
    for number in range(1, 60_000):
        journal.settle(begin(journal, number, b"x" * 100))
    assert numbers(tmp_path) == [0]
    journal.settle(endless)
    assert numbers(tmp_path) == []


def test_scattered_long_statements_are_carried_over(journal, tmp_path):
    endless = []
    for number in range(20_000):
        owner = begin(journal, number, b"y" * 100)
        if number % 500 == 0:
            endless.append((number, owner))
        else:
            journal.settle(owner)
    assert numbers(tmp_path) == [number for number, _ in endless]
    for _, owner in endless:
        journal.settle(owner)
    assert numbers(tmp_path) == []


def test_a_full_journal_says_so_and_goes_on_when_there_is_room(journal, tmp_path):
    running = []

    def begin_until_full():
        for number in range(100_000):
            running.append(begin(journal, number, b"z" * 200))

    with pytest.raises(JournalFullError):
        begin_until_full()
    assert numbers(tmp_path) == list(range(len(running)))
    for owner in running:
        journal.settle(owner)
    begin(journal, 777_777)
    assert numbers(tmp_path) == [777_777]


def test_a_session_stays_until_it_is_settled(journal, tmp_path):
    owner = Owner()
    journal.begin_session(owner, 9, 1.0, b"constants")
    begin(journal, 1, session=9)
    left = read_journal(tmp_path)
    assert left.sessions == {9: b"constants"}
    assert left.open_sessions == [9]
    journal.settle(owner)
    left = read_journal(tmp_path)
    assert left.open_sessions == []
    assert left.sessions == {9: b"constants"}


def test_a_new_journal_replaces_the_old_one(journal, tmp_path):
    begin(journal, 1)
    Journal.create(tmp_path, **SMALL).close()
    assert numbers(tmp_path) == []


def test_what_an_older_statement_s_text_says_is_no_entry(journal, tmp_path):
    # A client writes what it likes into its text, and texts lie where entries will end once
    # their segment is used again. All that it cannot know is where the epochs began.
    text = b"DROP TABLE t"
    lead = b"x" * 50

    def fill():
        while journal.limit - journal.cursor >= HEAD_SIZE + len(lead):
            journal.settle(begin(journal, 1, b"y"))

    third = 3
    head = HEAD.pack(0, 2, len(text), third, 1, 666, 1.0, len(text))
    forged = head + CHECK.pack(crc32(text, crc32(head))) + text
    fill()
    journal.settle(begin(journal, 1, lead + forged))
    fill()
    begin(journal, 1, lead)
    assert journal.cursor == SEGMENT_HEAD.size + HEAD_SIZE + len(lead)
    assert numbers(tmp_path) == [1]


def test_what_ends_after_the_close_is_settled_in_silence(tmp_path):
    journal = Journal.create(tmp_path, **SMALL)
    one, other = begin(journal, 1), begin(journal, 2)
    journal.close()
    journal.settle(one)
    journal.settle_all([other])
    assert numbers(tmp_path) == [1, 2]


def test_sizes_that_cannot_work_are_refused(tmp_path):
    with pytest.raises(ValueError, match="three segments"):
        Journal.create(tmp_path, segment_size=1024, segments=4)


@given(cut=st.integers(0, 200), garbage=st.binary(min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_damaged_entry_ends_its_segment_and_harms_nothing_before_it(
    tmp_path_factory, cut, garbage
):
    folder: Path = tmp_path_factory.mktemp("journal")
    journal = Journal.create(folder, **SMALL)
    for number in range(1, 4):
        begin(journal, number, b"SELECT %d" % number)
    journal.close()
    entry = HEAD.size + 4 + len(b"SELECT 1")
    place = SEGMENT_HEAD.size + 2 * entry + 1 + cut
    with (folder / NAME).open("r+b") as file:
        file.seek(place)
        file.write(garbage)
    assert numbers(folder)[:2] == [1, 2]
