#!/usr/bin/env bash
# `python -m alignbench.measure gpu` on a machine with a GPU, torch and transformers, where nothing can be installed or
# fetched. Wheels of missing packages may lie in the folder .whl of the repository; PYTHON names another interpreter.
set -euo pipefail
cd "$(dirname "$0")/../../.."
most=60000000 # bytes that may travel to such a machine

shopt -s nullglob
files=(.whl/*.whl)
wheels=0
[ ${#files[@]} -eq 0 ] || wheels=$(cat "${files[@]}" | wc -c)
if tree=$(git archive HEAD 2>/dev/null | wc -c) && [ "$tree" -gt 0 ]; then
  echo "what travels: the tree $((tree / 1000000)) MB, wheels $((wheels / 1000000)) MB, of $((most / 1000000)) MB"
  if [ $((tree + wheels)) -gt $most ]; then
    echo "error: tree and wheels are larger than what may travel; leave wheels out" >&2
    exit 2
  fi
fi

export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=true
if [ ${#files[@]} -gt 0 ]; then
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  "${PYTHON:-python3}" -m pip install -q --no-index --no-deps --no-compile --target "$site" "${files[@]}"
  PYTHONPATH="$PYTHONPATH:$site"
fi
"${PYTHON:-python3}" -m alignbench.measure gpu "$@"
