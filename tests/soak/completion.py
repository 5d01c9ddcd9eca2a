"""Bash completion of ``./run soak``: its options and their words. Pure."""

from __future__ import annotations

from tests.soak.options import ENGINES, option_names

_TEMPLATE = """\
_accode_proxy_soak() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    COMPREPLY=()
    if [[ "${{COMP_WORDS[1]-}}" != soak ]]; then
        # ./run has one completion: that of ./run bench, read before, goes on working.
        if declare -F _accode_proxy_bench >/dev/null; then _accode_proxy_bench; fi
        return 0
    fi
    case "$before" in
        --only) words="{engines}" ;;
        --minutes | --seed | --clients | --workers | --output) ;;
        *) words="{options}" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _accode_proxy_soak ./run
"""


def bash_script() -> str:
    """What ``source <(./run soak --completion)`` reads."""
    return _TEMPLATE.format(engines=" ".join(ENGINES), options=" ".join(option_names()))
