#!/usr/bin/env bash
# simulate.sh FIRST COUNT: the simulation with COUNT seeds from FIRST; TRACE=1 prints every packet, VERBOSE=1 a line per seed, ATTACK=1 puts an attacker between two encrypting stacks.
cd "$(dirname "$0")/.." || exit 1
eng/build.sh tests/Simulation/Simulation.csproj || exit 1
exec dotnet "tests/Simulation/bin/${CONFIG:-Release}/net10.0/Tcpcrypt.Simulation.dll" --seed "$1" --count "$2" ${TRACE:+--trace} ${VERBOSE:+--verbose} ${ATTACK:+--attack}
