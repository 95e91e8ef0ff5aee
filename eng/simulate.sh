#!/usr/bin/env bash
# simulate.sh FIRST COUNT: the simulation with COUNT seeds from FIRST; JOBS=N runs so many at a time, TRACE=1 prints every packet, VERBOSE=1 a line per seed, ATTACK=1 puts an attacker between two encrypting stacks; TABLE=1 writes the throughput table anew instead.
cd "$(dirname "$0")/.." || exit 1
eng/build.sh tests/Simulation/Simulation.csproj || exit 1
if [ -n "$TABLE" ]; then
  dotnet "tests/Simulation/bin/${CONFIG:-Release}/net10.0/Tcpcrypt.Simulation.dll" --table > tests/Simulation/throughput.tmp && mv tests/Simulation/throughput.tmp tests/Simulation/throughput.md
  exit
fi
exec dotnet "tests/Simulation/bin/${CONFIG:-Release}/net10.0/Tcpcrypt.Simulation.dll" --seed "$1" --count "$2" ${TRACE:+--trace} ${VERBOSE:+--verbose} ${ATTACK:+--attack} ${JOBS:+--jobs "$JOBS"}
