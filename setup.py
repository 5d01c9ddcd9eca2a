"""Compiles the hot modules where a C compiler works; everything else is pyproject.toml.

The modules are plain Python that Cython also understands (pure-Python mode). Each
extension is optional: without a compiler the install succeeds and the .py runs.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).resolve().parent

# For the modules listed as unchecked: each of their offsets is compared with the length it
# was cut from first.
TYPED = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "binding": True,
}
# Everything else keeps Python's own meaning, annotations included.
PLAIN = {"language_level": 3, "binding": True, "annotation_typing": False}


def extensions() -> list[Extension]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    typed, plain = [], []
    for module in settings["tool"]["accode-proxy"]["compiled-modules"]:
        source = Path(*module.split(".")).with_suffix(".py")
        if (ROOT / source).is_file():
            kind = typed if module in settings["tool"]["accode-proxy"]["unchecked"] else plain
            kind.append(Extension(module, [str(source)]))
    translated = []
    for found, directives in ((typed, TYPED), (plain, PLAIN)):
        # The translated C goes to build/, so that no generated file lies beside a source.
        translated += cythonize(
            found, compiler_directives=directives, build_dir="build/cython", quiet=True
        )
    for extension in translated:
        # Here, because cythonize makes new extensions and forgets this of the old ones.
        extension.optional = True
    return translated


# Eighty modules take minutes one after the other; as many compilers as cores.
setup(
    ext_modules=extensions(),
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
