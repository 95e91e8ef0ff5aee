#!/usr/bin/env bash
# Is the SDK that global.json asks for there? If not: what to do.
cd "$(dirname "$0")/.." || exit 1
wanted=$(sed -n 's/.*"version": *"\([0-9]*\.[0-9]*\).*/\1/p' global.json)
if command -v dotnet >/dev/null && dotnet --version >/dev/null 2>&1; then
    exit 0
fi

if command -v dotnet >/dev/null; then
    echo "The .NET $wanted SDK is missing; dotnet has only: $(dotnet --list-sdks 2>/dev/null | cut -d' ' -f1 | paste -sd' ')" >&2
else
    echo "The .NET $wanted SDK is missing: no dotnet in PATH." >&2
fi

cat >&2 <<TEXT
Install it in one of these ways, then run make again:
  sudo apt-get install -y dotnet-sdk-$wanted                              (where the distribution or packages.microsoft.com has it)
  curl -sSL https://dot.net/v1/dotnet-install.sh | bash -s -- --channel $wanted && export PATH="\$HOME/.dotnet:\$PATH"
  https://dotnet.microsoft.com/download/dotnet/$wanted
TEXT
exit 1
