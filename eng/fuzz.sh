#!/usr/bin/env bash
# fuzz.sh [OPTION...]: builds the fuzzer, instruments a copy of the assemblies under test, and runs it from there; options as in tests/Fuzz/Program.cs.
cd "$(dirname "$0")/.." || exit 1
eng/build.sh tests/Fuzz/Fuzz.csproj || exit 1
built=tests/Fuzz/bin/${CONFIG:-Release}/net10.0
copy=tests/Fuzz/bin/${CONFIG:-Release}/instrumented
rm -rf "$copy"
cp -r "$built" "$copy"
dotnet "$built/Tcpcrypt.Fuzz.dll" --instrument "$copy/Tcpcrypt.Stack.dll" "$copy/Tcpcrypt.Crypt.dll" || exit 1
exec dotnet "$copy/Tcpcrypt.Fuzz.dll" --corpus tests/Fuzz/corpus "$@"
