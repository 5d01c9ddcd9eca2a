"""The rules of the house that no other tool checks.

Who may import whom is in pyproject.toml (import-linter); these are the rest.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("protocols", "policies", "vault", "proxy")
DISTRIBUTION = "accode-proxy"

# They say where a thing is kept, not what it is; everything ends up in them.
FORBIDDEN_NAMES = {"utils", "util", "common", "core", "models", "helpers", "misc", "shared"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def sources(*packages: str) -> Iterator[Path]:
    for package in packages or PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def imports(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Yield each imported name, dotted and absolute."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path, node)}: write the whole name of the module"
            for alias in node.names:
                yield node, f"{node.module}.{alias.name}"


def text_files() -> Iterator[tuple[Path, str]]:
    """Yield what the repository holds, or would hold once added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split(b"\0")):
        path = ROOT / os.fsdecode(name)
        if path.is_file():
            content = path.read_bytes()
            if b"\0" not in content:
                yield path, content.decode("utf-8")


def test_no_file_or_folder_has_a_name_that_says_nothing():
    found = [
        str(path.relative_to(ROOT))
        for package in (*PACKAGES, "benchmarks", "tests")
        for path in (ROOT / package).rglob("*")
        if path.stem in FORBIDDEN_NAMES
    ]
    assert not found


def test_every_folder_of_code_is_a_package():
    # One without __init__.py would be left out of the wheel without a word.
    allowed = {ROOT / "proxy/store/migrations", ROOT / "proxy/store/migrations/versions"}
    folders = {path.parent for path in sources()} - allowed
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_every_package_has_a_map_and_every_module_says_what_it_knows():
    found = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path.parent.name != "versions" and not ast.get_docstring(parsed(path))
    ]
    assert not found


def test_no_other_distribution_claims_our_package_names():
    claims = importlib.metadata.packages_distributions()
    others = {name: set(claims.get(name, ())) - {DISTRIBUTION} for name in PACKAGES}
    assert not {name: claimed for name, claimed in others.items() if claimed}


def test_our_packages_are_imported_from_this_checkout():
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        assert Path(spec.origin).is_relative_to(ROOT)


def test_hot_modules_are_compiled_unless_plain_python_is_asked_for():
    for module in project()["tool"]["accode-proxy"]["compiled-modules"]:
        spec = importlib.util.find_spec(module)
        assert spec is not None, f"{module} is listed in pyproject.toml and does not exist"
        assert spec.origin is not None
        is_compiled = spec.origin.endswith(tuple(EXTENSION_SUFFIXES))
        if os.environ.get("ACCODE_PROXY_PURE"):
            assert not is_compiled, spec.origin
        elif not is_compiled:
            pytest.skip(f"{module} is not compiled: `./run build` says why (no C compiler?)")


def test_a_secret_is_revealed_on_one_line_of_the_proxy_for_each_kind_of_place_it_is_sent_to():
    found = [
        str(path.relative_to(ROOT))
        for path in sources("proxy")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and node.attr == "reveal"
    ]
    # A data source's, and the client's at an identity provider.
    assert found == ["proxy/gateway/secrets.py", "proxy/oidc/authentication.py"]


def test_the_gateway_knows_neither_the_admin_interface_nor_content():
    found = [
        place(path, node)
        for path in sources("proxy/gateway")
        for node, name in imports(path)
        if name.startswith(("proxy.admin", "proxy.content"))
    ]
    assert not found


def test_protocols_do_not_know_each_other():
    found = []
    for path in sources("protocols"):
        own = path.relative_to(ROOT / "protocols").parts[0]
        for node, name in imports(path):
            parts = name.split(".")
            if parts[0] != "protocols" or len(parts) < 2:
                continue
            is_other = (ROOT / "protocols" / parts[1]).is_dir() and parts[1] != own
            if is_other:
                found.append(place(path, node))
    assert not found


def test_protocols_use_the_standard_library_alone():
    allowed = {"protocols", "cython"}
    found = [
        f"{place(path, node)} {name}"
        for path in sources("protocols")
        for node, name in imports(path)
        if name.partition(".")[0] not in allowed | STANDARD_LIBRARY
    ]
    assert not found


# What a pure module may need of the standard library. asyncio, socket, ssl, time, os are
# kept out on purpose: the outside world is an argument.
STANDARD_LIBRARY = {
    "__future__", "abc", "base64", "binascii", "collections", "dataclasses", "enum",
    "functools", "hashlib", "hmac", "itertools", "math", "re", "secrets", "string",
    "stringprep", "struct", "types", "typing", "unicodedata", "weakref",
    "zlib",
}  # fmt: skip


def test_every_task_is_kept():
    # The event loop holds tasks weakly: one that nobody keeps may vanish in the middle
    # (asyncio documentation, create_task).
    found = [
        place(path, node)
        for path in sources("proxy")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and _name(node.value.func) in {"create_task", "ensure_future"}
        and not _is_task_group(node.value.func)
    ]
    assert not found


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_task_group(function: ast.expr) -> bool:
    """Whether the call reads ``group.create_task(...)``; asyncio.TaskGroup keeps its tasks."""
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id.endswith("group")
    )


def test_nothing_is_patched_and_no_test_sleeps():
    # Waiting for another process is bounded, and in one place: tests/servers/waiting.py.
    # The soak's clients rest between their steps, in one place of theirs.
    # asyncio.sleep(0) is no wait: it lets the event loop take one step.
    places = [ROOT / "tests/servers/waiting.py", ROOT / "tests/soak/pace.py"]
    found = []
    for path in sources("tests"):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call) or path in places:
                continue
            call = ast.unparse(node)
            if call.startswith(("monkeypatch.setattr(", "time.sleep(", "asyncio.sleep(")):
                found.append(f"{place(path, node)} {call}")
        found += [place(path, node) for node, name in imports(path) if "mock" in name.split(".")]
    assert not [entry for entry in found if not entry.endswith(" asyncio.sleep(0)")]


MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:work|root|home|Users)/[\w.]|(?<![\w.])/tmp/\w+/")


def test_no_file_names_a_path_of_one_machine():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path, text in text_files()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line) and path != Path(__file__)
    ]
    assert not found


def test_the_locks_pin_every_requirement_with_its_hashes_and_name_no_host():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        blocks = re.split(r"\n(?=[a-z])", text.strip())
        assert blocks
        assert not [block for block in blocks if "==" not in block or "--hash=sha256:" not in block]


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ()), ("requirements-dev.lock", ("demo", "dev"))]
)
def test_every_dependency_is_locked(lock: str, extras: tuple[str, ...]):
    table = project()["project"]
    wanted = list(table["dependencies"])
    for extra in extras:
        wanted += table["optional-dependencies"][extra]
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE))
    names = {re.sub("[_.]", "-", re.split(r"[\[=<>~!; ]", entry)[0].lower()) for entry in wanted}
    assert names <= locked
