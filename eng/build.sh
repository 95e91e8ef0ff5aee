#!/usr/bin/env bash
# build.sh [PROJECT]: builds quietly (default: the solution) and shows errors only.
cd "$(dirname "$0")/.." || exit 1
eng/sdk.sh || exit 1
target=${1:-Tcpcrypt.sln}
log=$(mktemp)
# One compiler for all projects saves a third of the time (it is compiled itself once, not thirty times). It is this build's own and ends with it: a server left
# behind would keep the caller's pipe open. For the same reason the output goes through a file.
compiler=tcpcrypt-$$
cleanup() {
    dotnet "$(dotnet --info | sed -n 's/^ *Base Path: *//p')Roslyn/bincore/VBCSCompiler.dll" -shutdown -pipename:"$compiler" >/dev/null 2>&1
    rm -f "$log"
}
trap cleanup EXIT
if ! dotnet build "$target" -c "${CONFIG:-Release}" -v q -nologo -clp:"ErrorsOnly;NoSummary" -nodeReuse:false \
    -p:UseSharedCompilation=true -p:SharedCompilationId="$compiler" >"$log" 2>&1; then
    sort -u "$log" | grep -v '^ *$' >&2
    echo "the build of $target failed" >&2
    exit 1
fi
