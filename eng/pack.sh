#!/usr/bin/env bash
# The libraries as NuGet packages with symbols, in artifacts/.
cd "$(dirname "$0")/.." || exit 1
eng/sdk.sh || exit 1
rm -rf artifacts
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for project in src/*/*.csproj; do
    if ! dotnet pack "$project" -c Release -o artifacts -v q -nologo -clp:"ErrorsOnly;NoSummary" >"$log" 2>&1; then
        cat "$log" >&2
        echo "packing $project failed" >&2
        exit 1
    fi
done
ls -1 artifacts
