#!/usr/bin/env bash
# The table of requirement ids and the tests that carry them; the ids without a test are named.
cd "$(dirname "$0")/.." || exit 1
project=$(ls tests/Conformance/*.csproj 2>/dev/null) || { echo "tests/Conformance is not there" >&2; exit 1; }
eng/build.sh "$project" || exit 1
exec dotnet run --no-build -c "${CONFIG:-Release}" --project "$project" -- "$@"
