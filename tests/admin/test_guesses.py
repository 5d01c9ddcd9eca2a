from __future__ import annotations

from datetime import UTC, datetime, timedelta

from proxy.admin.guesses import LIFETIME, Guesses

NOW = datetime(2026, 5, 4, tzinfo=UTC)
KEY = b"k" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def tries(guesses: Guesses, name: str, address: str, device: str | None = None) -> int:
    """How many one has until the first no."""
    for number in range(1_000):
        if guesses.take(name, address, device, NOW).wait:
            return number
    return 1_000


def test_one_address_has_ten_tries_and_then_one_at_a_time():
    clock = Clock()
    guesses = Guesses(KEY, clock)
    assert tries(guesses, "ada", "192.0.2.1") == 10
    assert guesses.take("ada", "192.0.2.1", None, NOW).wait > 0
    clock.now += 15
    assert tries(guesses, "ada", "192.0.2.1") == 1


def test_an_account_is_guessed_no_faster_from_many_addresses():
    guesses = Guesses(KEY, Clock())
    assert sum(tries(guesses, "ada", f"192.0.2.{number}") for number in range(50)) == 10


def test_a_name_that_does_not_exist_is_as_slow():
    # It knows no account, so it cannot tell them apart; here is that it asks none.
    guesses = Guesses(KEY, Clock())
    assert tries(guesses, "no such", "192.0.2.1") == 10


def test_a_known_device_is_not_kept_out_by_what_others_do():
    guesses = Guesses(KEY, Clock())
    mine, another = guesses.new_device("ada", NOW), guesses.new_device("ada", NOW)
    for number in range(50):
        tries(guesses, "ada", f"192.0.2.{number}")
    assert guesses.take("ada", "192.0.2.200", None, NOW).wait > 0
    # Also from an address that attacks, as behind one NAT.
    assert tries(guesses, "ada", "192.0.2.1", mine) == 10
    # And one device's tries are not another's.
    assert tries(guesses, "ada", "192.0.2.1", another) == 10


def test_a_device_is_of_one_account_one_key_and_has_an_end():
    clock = Clock()
    guesses = Guesses(KEY, clock)
    device = guesses.new_device("ada", NOW)
    tries(guesses, "ada", "192.0.2.1")
    tries(guesses, "bob", "192.0.2.1")
    assert guesses.take("bob", "192.0.2.1", device, NOW).wait > 0
    assert guesses.take("ada", "192.0.2.1", device, NOW + LIFETIME).wait > 0
    stranger = Guesses(b"j" * 32, clock).new_device("ada", NOW)
    assert guesses.take("ada", "192.0.2.1", stranger, NOW).wait > 0
    for forged in ("", "acd_", device[:-4], device[4:], device + "AAAA", "acd_" + "A" * 75, "é"):
        assert guesses.take("ada", "192.0.2.1", forged, NOW).wait > 0
    assert guesses.take("ada", "192.0.2.1", device, NOW + timedelta(days=1)).wait == 0


def test_a_device_token_that_is_changed_anywhere_is_none():
    guesses = Guesses(KEY, Clock())
    device = guesses.new_device("ada", NOW)
    tries(guesses, "ada", "192.0.2.1")
    for place in range(4, len(device) - 1):
        other = "A" if device[place] != "A" else "B"
        changed = device[:place] + other + device[place + 1 :]
        assert guesses.take("ada", "192.0.2.1", changed, NOW).wait > 0, place


def test_all_strangers_together_are_bounded_and_devices_are_not_among_them():
    guesses = Guesses(KEY, Clock())
    device = guesses.new_device("ada", NOW)
    taken = sum(
        guesses.take(f"name{number}", f"10.0.{number % 200}.1", None, NOW).wait == 0
        for number in range(300)
    )
    assert taken == 12
    assert tries(guesses, "ada", "192.0.2.1", device) == 10


def test_trying_again_in_a_session_is_bounded_by_itself():
    guesses = Guesses(KEY, Clock())
    assert sum(not guesses.take_again("ada", "one").wait for _ in range(30)) == 10
    assert not guesses.take_again("ada", "two").wait
    assert tries(guesses, "ada", "192.0.2.1") == 10
