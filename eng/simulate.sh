#!/usr/bin/env bash
# simulate.sh FIRST COUNT: the simulation with COUNT seeds from FIRST.
cd "$(dirname "$0")/.." || exit 1
project=tests/Simulation/Simulation.csproj
eng/build.sh "$project" || exit 1
exec dotnet "tests/Simulation/bin/${CONFIG:-Release}/net10.0/Simulation.dll" --seed "$1" --count "$2"
