#!/usr/bin/env bash
# The table of requirement ids and the tests that carry them; the ids without a test are named.
cd "$(dirname "$0")/.." || exit 1
eng/build.sh tests/Conformance/Conformance.csproj || exit 1
exec dotnet run --no-build -c "${CONFIG:-Release}" --project tests/Conformance -- "$@"
