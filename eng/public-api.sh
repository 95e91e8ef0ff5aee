#!/usr/bin/env bash
# Brings the PublicAPI.Unshipped.txt files up to date with the code: what an API change adds or removes shows as a diff.
cd "$(dirname "$0")/.." || exit 1
for project in ${*:-Crypt Stack Tun Testing}; do
    file=src/$project/PublicAPI.Unshipped.txt
    echo '#nullable enable' >"$file"
    # Analyzers run only when the compiler does.
    symbols=$(dotnet build "src/$project" --no-incremental --no-dependencies -p:TreatWarningsAsErrors=false -v q -nologo 2>&1 |
        sed -n "s/.*RS0016: Symbol '\(.*\)' is not part of the declared public API.*/\1/p" | LC_ALL=C sort -u)
    [ -n "$symbols" ] && echo "$symbols" >>"$file"
    echo "$file: $(($(wc -l <"$file") - 1)) symbols"
done
