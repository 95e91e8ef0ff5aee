#!/usr/bin/env bash
# build.sh [PROJECT]: builds quietly (default: the solution) and shows errors only.
cd "$(dirname "$0")/.." || exit 1
eng/sdk.sh || exit 1
target=${1:-Tcpcrypt.sln}
# The output goes through a file: a compiler server started by the build would otherwise keep the caller's pipe open.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! dotnet build "$target" -c "${CONFIG:-Release}" -v q -nologo -clp:"ErrorsOnly;NoSummary" >"$log" 2>&1; then
    sort -u "$log" | grep -v '^ *$' >&2
    echo "the build of $target failed" >&2
    exit 1
fi
