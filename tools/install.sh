#!/bin/sh
# Install the project, or gather its packages in a folder:
#
#   tools/install.sh                into ./.venv, as it stands here (make install)
#   tools/install.sh wheelhouse     all packages as files in ./wheelhouse (make wheelhouse)
#
# Variables: PYTHON (python3), EXTRAS (cpu,demo,dev), CONSTRAINTS (constraints.txt), and TORCH_INDEX, the address of
# an index with the builds of PyTorch that shall be taken, for instance a mirror of PyTorch's own index for CPUs.
#
# The plain index's torch brings 3 GB of CUDA libraries on Linux. So a build for CPUs comes, in this order, from
# TORCH_INDEX, from where pip looks anyway, or from PyTorch's index through uv; only if none answers, from the plain one.
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
EXTRAS=${EXTRAS:-cpu,demo,dev}
CONSTRAINTS=${CONSTRAINTS:-constraints.txt}
BIN=.venv/bin
LOG=.venv/install.log
[ -r "$CONSTRAINTS" ] || { echo "CONSTRAINTS=$CONSTRAINTS: there is no such file." >&2 && exit 2; }
TORCH=$(sed -n 's/^torch==//p' "$CONSTRAINTS")

make_environment() {
    if ! "$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'; then
        echo "Python 3.11 to 3.14 is needed, and $PYTHON is not one. Name another: PYTHON=python3.12 make install" >&2
        exit 1
    fi
    "$PYTHON" -m venv .venv
}

uv_reaches_pytorch() {
    UV=$(command -v uv) || {
        "$BIN/pip" install --quiet --disable-pip-version-check -c "$CONSTRAINTS" uv || return 1
        UV=$BIN/uv
    }
    echo "torch==$TORCH" | UV_HTTP_CONNECT_TIMEOUT=5 UV_HTTP_TIMEOUT=5 UV_HTTP_RETRIES=0 \
        "$UV" pip compile - --quiet --no-cache --no-deps --python "$BIN/python" \
        --torch-backend cpu >/dev/null 2>&1
}

# Sets TORCH_FROM: an index, pip, uv, plain (with CUDA), or none where no CPU build is to be looked for.
find_torch() {
    case ",$EXTRAS," in
    *,cpu,*) ;;
    *) TORCH_FROM=none && return ;;
    esac
    if [ -n "${TORCH_INDEX:-}" ]; then
        TORCH_FROM=index
    elif [ "$(uname -s)" != Linux ]; then
        TORCH_FROM=none
    elif "$BIN/pip" index versions torch 2>/dev/null | grep -qF "$TORCH+cpu"; then
        TORCH_FROM=pip
    elif uv_reaches_pytorch; then
        TORCH_FROM=uv
    else
        TORCH_FROM=plain
    fi
}

announce() {
    case $TORCH_FROM in
    index) echo "torch $TORCH comes from $TORCH_INDEX." ;;
    pip) echo "torch $TORCH for CPUs is where pip looks." ;;
    uv) echo "torch $TORCH for CPUs comes from PyTorch's index, through uv." ;;
    plain)
        echo "PyTorch's index does not answer, and the plain one's torch brings 3 GB of CUDA libraries."
        echo "To do without them, stop here and name an index with CPU builds: TORCH_INDEX=https://… make install"
        ;;
    esac
    case $EXTRAS,$TORCH_FROM in
    cpu*,plain) echo "About 3.5 GB to download and 8 GB on the disk; ten minutes or more." ;;
    cpu*) echo "About 0.7 GB to download and 3 GB on the disk; three minutes on two idle cores, less through uv." ;;
    esac
}

# pip's output, one line for every twenty packages and for every large one.
shorten() {
    awk '
        /^ *Collecting/ { if (++collected % 20 == 0) print "  " collected " packages looked up" }
        / \([0-9.]+ [MG]B\)$/ { if ($NF == "GB)" || substr($(NF - 1), 2) + 0 >= 10) print "  " $0 }
        /^ *Building wheel/ && !/finished|done/ { print "  " $0 }
        /^Installing collected/ { print "  installing " NF - 3 " packages: a minute or two" }
        /^(ERROR|WARNING)/ && !/is ignored/ { print }
        { fflush() }
    '
}

# Runs pip with its output shortened; the whole of it lies in $LOG.
run_pip() {
    rm -f "$LOG.failed" # of an installation that was interrupted
    { "$BIN/pip" --disable-pip-version-check "$@" 2>&1 || touch "$LOG.failed"; } | tee "$LOG" | shorten
    if [ -e "$LOG.failed" ]; then
        rm "$LOG.failed"
        tail -n 20 "$LOG" >&2
        echo "The installation failed; everything pip said is in $LOG." >&2
        exit 1
    fi
}

with_index() {
    if [ "$TORCH_FROM" = index ]; then
        run_pip "$@" --extra-index-url "$TORCH_INDEX"
    else
        run_pip "$@"
    fi
}

case ${1:-install} in
install)
    make_environment
    find_torch
    announce
    if [ "$TORCH_FROM" = uv ]; then
        "$UV" pip install --python "$BIN/python" --torch-backend cpu -c "$CONSTRAINTS" -e ".[$EXTRAS]"
    else
        with_index install -c "$CONSTRAINTS" -e ".[$EXTRAS]"
    fi
    ;;
wheelhouse)
    [ -x "$BIN/pip" ] || make_environment
    find_torch
    announce
    with_index wheel --wheel-dir wheelhouse -c "$CONSTRAINTS" ".[$EXTRAS]"
    echo "On a machine with the same system and Python:"
    echo "  pip install --no-index --find-links wheelhouse 'embed-pipeline[$EXTRAS]'"
    ;;
*)
    echo "usage: tools/install.sh [install|wheelhouse]" >&2
    exit 2
    ;;
esac
