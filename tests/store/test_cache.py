import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from proxy.store.cache import LOAD_ATTEMPTS, KeyedCache
from proxy.store.errors import StoreUnavailable


class Shelf:
    """A store of words by key, owned by their first letter, that counts its loads."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        self.loads: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.gate: asyncio.Event | None = None

    async def load(self, key: str) -> str | None:
        self.loads.append(key)
        word = self.words.get(key)
        if self.gate is not None:
            await self.gate.wait()
        self.meanwhile()
        return word


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def cache(shelf: Shelf) -> AsyncIterator[KeyedCache[str, str]]:
    cache: KeyedCache[str, str] = KeyedCache(
        shelf.load,
        owner=lambda word: word[0],
        limit=3,
        weigh=len,
        weight_limit=100,
        unknown_limit=2,
    )
    yield cache
    await cache.stop()


async def test_a_value_is_loaded_once(cache: KeyedCache[str, str], shelf: Shelf):
    shelf.words["k"] = "word"
    assert await cache.get("k") == "word"
    assert await cache.get("k") == "word"
    assert shelf.loads == ["k"]


async def test_many_at_once_wait_for_one_load(cache: KeyedCache[str, str], shelf: Shelf):
    shelf.words["k"] = "word"
    results = await asyncio.gather(*(cache.get("k") for _ in range(50)))
    assert results == ["word"] * 50
    assert shelf.loads == ["k"]


async def test_who_leaves_does_not_take_the_load_along(cache: KeyedCache[str, str], shelf: Shelf):
    shelf.words["k"] = "word"
    shelf.gate = asyncio.Event()
    first, second = (asyncio.ensure_future(cache.get("k")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    shelf.gate.set()
    assert await second == "word"
    assert shelf.loads == ["k"]


async def test_an_error_reaches_everyone_and_is_not_kept(shelf: Shelf):
    async def fail(key: str) -> str | None:
        shelf.loads.append(key)
        raise StoreUnavailable("no")

    cache: KeyedCache[str, str] = KeyedCache(fail, owner=str, limit=3, unknown_limit=2)
    results = await asyncio.gather(*(cache.get("k") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    with pytest.raises(StoreUnavailable):
        await cache.get("k")
    assert shelf.loads == ["k", "k"]


async def test_the_least_recently_used_goes_first(cache: KeyedCache[str, str], shelf: Shelf):
    shelf.words.update({key: key for key in "abcd"})
    for key in "abca" + "d":
        await cache.get(key)
    assert len(cache) == 3
    shelf.loads.clear()
    for key in "acdb":
        await cache.get(key)
    assert shelf.loads == ["b"]


async def test_the_weight_is_bounded_too(cache: KeyedCache[str, str], shelf: Shelf):
    shelf.words.update({"a": "a" * 60, "b": "b" * 60})
    await cache.get("a")
    await cache.get("b")
    assert len(cache) == 1


async def test_one_value_above_the_weight_limit_is_kept(cache: KeyedCache[str, str], shelf: Shelf):
    shelf.words["a"] = "a" * 1000
    await cache.get("a")
    await cache.get("a")
    assert shelf.loads == ["a"]


async def test_a_change_drops_what_its_owner_has_and_nothing_else(
    cache: KeyedCache[str, str], shelf: Shelf
):
    shelf.words.update({"1": "alpha", "2": "arc", "3": "beta"})
    for key in "123":
        await cache.get(key)
    shelf.loads.clear()
    cache.forget_owner("a")
    for key in "123":
        await cache.get(key)
    assert shelf.loads == ["1", "2"]


async def test_everything_can_be_dropped(cache: KeyedCache[str, str], shelf: Shelf):
    shelf.words["k"] = "word"
    await cache.get("k")
    await cache.get("unknown")
    cache.forget_everything()
    assert len(cache) == 0
    await cache.get("k")
    await cache.get("unknown")
    assert shelf.loads == ["k", "unknown"] * 2


async def test_what_is_unknown_is_asked_once_until_something_new_comes(
    cache: KeyedCache[str, str], shelf: Shelf
):
    assert await cache.get("k") is None
    cache.forget_owner("w")
    assert await cache.get("k") is None
    assert shelf.loads == ["k"]
    shelf.words["k"] = "word"
    cache.forget_unknown()
    assert await cache.get("k") == "word"


async def test_unknown_names_are_bounded_and_evict_no_value(
    cache: KeyedCache[str, str], shelf: Shelf
):
    shelf.words["k"] = "word"
    await cache.get("k")
    for number in range(100):
        await cache.get(f"guess {number}")
    shelf.loads.clear()
    await cache.get("k")
    await cache.get("guess 99")
    await cache.get("guess 97")
    assert shelf.loads == ["guess 97"]


@pytest.mark.parametrize("is_everything", [False, True])
async def test_a_value_that_changed_while_it_was_read_is_read_again(
    cache: KeyedCache[str, str], shelf: Shelf, is_everything: bool
):
    shelf.words["k"] = "word"

    def change() -> None:
        shelf.meanwhile = lambda: None
        shelf.words["k"] = "word, newer"
        if is_everything:
            cache.forget_everything()
        else:
            cache.forget_owner("w")

    shelf.meanwhile = change
    assert await cache.get("k") == "word, newer"
    assert shelf.loads == ["k", "k"]


async def test_a_change_of_another_owner_disturbs_no_load(
    cache: KeyedCache[str, str], shelf: Shelf
):
    shelf.words["k"] = "word"
    shelf.meanwhile = lambda: cache.forget_owner("x")
    assert await cache.get("k") == "word"
    assert shelf.loads == ["k"]


@pytest.mark.parametrize("is_everything", [False, True])
async def test_what_was_unknown_while_something_new_came_is_not_remembered(
    cache: KeyedCache[str, str], shelf: Shelf, is_everything: bool
):
    def change() -> None:
        shelf.meanwhile = cache.forget_unknown
        if is_everything:
            cache.forget_everything()
        else:
            cache.forget_unknown()

    shelf.meanwhile = change
    assert await cache.get("k") is None
    shelf.words["k"] = "word"
    assert await cache.get("k") == "word"


async def test_a_value_that_never_holds_still_is_refused(cache: KeyedCache[str, str], shelf: Shelf):
    shelf.words["k"] = "word"
    shelf.meanwhile = lambda: cache.forget_owner("w")
    with pytest.raises(StoreUnavailable):
        await cache.get("k")
    assert len(shelf.loads) == LOAD_ATTEMPTS


async def test_stopping_ends_the_loads(shelf: Shelf):
    cache: KeyedCache[str, str] = KeyedCache(shelf.load, owner=str, limit=3, unknown_limit=2)
    shelf.gate = asyncio.Event()
    waiting: Awaitable[str | None] = asyncio.ensure_future(cache.get("k"))
    await asyncio.sleep(0)
    await cache.stop()
    with pytest.raises(asyncio.CancelledError):
        await waiting
