"""Bash completion of ``./run bench``: options, cases and subjects. Pure."""

from __future__ import annotations

from benchmarks.engines import MYSQL, POSTGRES, Engine
from benchmarks.options import case_names, option_names

_TEMPLATE = """\
_accode_proxy_bench() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words list
    COMPREPLY=()
    [[ "${{COMP_WORDS[1]-}}" == bench ]] || return 0
    if [[ "${{COMP_WORDS[2]-}}" == mysql && COMP_CWORD -gt 2 ]]; then
        case "$before" in
            --cases) words="{mysql_cases}"; list=1 ;;
            --subjects) words="{mysql_subjects}"; list=1 ;;
            *) words="{mysql_options}" ;;
        esac
    else
        case "$before" in
            --cases) words="{postgres_cases}"; list=1 ;;
            --subjects) words="{postgres_subjects}"; list=1 ;;
            *) words="{postgres_options}" ;;
        esac
        if ((COMP_CWORD == 2)); then words="mysql $words"; fi
    fi
    case "$before" in
        --against | --output) COMPREPLY=($(compgen -d -- "$word")); return 0 ;;
        --rounds | --seconds) return 0 ;;
    esac
    # The names before the last comma stay; the last one is completed.
    local kept=""
    if [[ -n "${{list-}}" && "$word" == *,* ]]; then kept="${{word%,*}},"; fi
    COMPREPLY=($(compgen -P "$kept" -W "$words" -- "${{word#"$kept"}}"))
}}
complete -o default -F _accode_proxy_bench ./run
"""


def bash_script() -> str:
    """What ``source <(./run bench --completion)`` reads."""
    return _TEMPLATE.format(**_words(POSTGRES), **_words(MYSQL))


def _words(engine: Engine) -> dict[str, str]:
    return {
        f"{engine.protocol}_cases": " ".join(case_names(engine)),
        f"{engine.protocol}_subjects": " ".join(engine.subjects),
        f"{engine.protocol}_options": " ".join(option_names(engine)),
    }
