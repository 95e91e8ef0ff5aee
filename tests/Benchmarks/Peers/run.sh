#!/bin/sh
# run.sh SCENARIO [options]: see README.md or run.sh --help
exec python3 -B "$(dirname "$0")/run.py" "$@"
