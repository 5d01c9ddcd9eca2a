from __future__ import annotations

import re

import pytest

from tests.policies.attacks import MYSQL, POSTGRES
from tests.policies.mysql.hostile import HOSTILE as MYSQL_HOSTILE
from tests.policies.postgres.corpus import HOSTILE as POSTGRES_HOSTILE


@pytest.mark.parametrize("kind", list(POSTGRES))
def test_each_kind_of_attack_on_postgresql_is_in_its_corpus(kind: str) -> None:
    assert [sql for sql in POSTGRES_HOSTILE if re.search(POSTGRES[kind], sql)]


@pytest.mark.parametrize("kind", list(MYSQL))
def test_each_kind_of_attack_on_mysql_is_in_its_corpus(kind: str) -> None:
    assert [sql for _, sql in MYSQL_HOSTILE if re.search(MYSQL[kind], sql)]
