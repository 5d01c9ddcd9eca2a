"""A person of the staff for every role, enrolled and logged in."""

from __future__ import annotations

from dataclasses import dataclass

from argon2 import PasswordHasher

from proxy.administration import login, staff
from proxy.administration.passwords import Password, Passwords
from proxy.administration.second_factor import step_at
from proxy.administration.workplace import Workplace
from proxy.store import ApiRole, StaffAccount
from tests.store.stores import SettableClock
from vault import Secret
from vault.totp import totp_code

PASSWORD = "seven green kites"


def cheap_passwords() -> Passwords:
    """Argon2id at its least: what it costs is no test's affair."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@dataclass(frozen=True)
class Person:
    """``spare``: the id of a second session, of the token ``spare_token``. ``codes`` are recovery
    codes still to be used.
    """

    account: StaffAccount
    totp: Secret
    codes: tuple[str, ...]
    token: str
    spare: str
    spare_token: str

    @property
    def name(self) -> str:
        return self.account.name

    def next_code(self, clock: SettableClock) -> str:
        """A code that was not used: of the next time step, to which the clock moves."""
        clock.advance(seconds=30)
        return totp_code(self.totp, step_at(clock()))


async def a_person(
    place: Workplace, name: str, role: ApiRole, clock: SettableClock, passwords: Passwords
) -> Person:
    """Invited, enrolled, logged in twice, by recovery codes."""
    invitation, _ = await staff.invite(place, name, role)
    await staff.enrol(place, passwords, invitation, Password(PASSWORD))
    invited = await staff.named(place, name)
    totp = staff.open_totp(place.vault, invited)
    account, codes = await staff.confirm(
        place, invitation, totp_code(totp, step_at(clock())), clock()
    )
    begun = []
    for code in codes[:2]:
        attempt = login.Attempt(name, Password(PASSWORD), code, "192.0.2.7", 4711)
        made = await login.log_in(place, passwords, attempt, clock())
        assert made is not None
        begun.append(made)
    return Person(account, totp, codes[2:], begun[0].token, begun[1].session.id, begun[1].token)
