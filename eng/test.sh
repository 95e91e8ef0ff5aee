#!/usr/bin/env bash
# Runs every test project and adds up the .trx results. The last line is "N passed, N failed, N skipped"; exit 1 on a failure or when nothing ran.
#   FILTER='FullyQualifiedName~Tcp'   passed on to dotnet test --filter; without it everything but TestCategory=Long (minutes of seeds and gigabytes)
#   PROJECTS='tests/Stack.Tests ...'  only these
cd "$(dirname "$0")/.." || exit 1
results=$PWD/TestResults
config=${CONFIG:-Release}
sum() { # DIR...: "passed failed skipped" of the .trx files below
    # A skipped test has the outcome NotExecuted; the logger's own counter of them stays 0.
    grep -rhoE --include='*.trx' '<UnitTestResult [^>]*' "$@" 2>/dev/null | grep -oE ' outcome="[A-Za-z]+"' |
        awk '/"Passed"/ { p++; next } /"NotExecuted"/ { s++; next } { f++ } END { print p + 0, f + 0, s + 0 }'
}

finish() { # PASSED FAILED SKIPPED
    echo "$1 passed, $2 failed, $3 skipped"
    [ "$2" -eq 0 ] && [ "$1" -gt 0 ]
    exit
}

eng/sdk.sh || finish 0 1 0
eng/need.sh ip ping curl tcpdump tshark iperf3 nmap ps sysctl ssh sshd python3 python3-cryptography iptables
rm -rf "$results"
mkdir -p "$results"
started=$SECONDS
echo "building"
eng/build.sh || finish 0 1 0
echo "built in $((SECONDS - started)) s"

run() { # PROJECT: one test project; its output is shown when it failed
    local project=$1 name dir log begin
    name=$(basename "$project" .csproj)
    dir=$results/$name
    log=$dir/output.txt
    mkdir -p "$dir"
    begin=$SECONDS
    timeout "${TEST_TIMEOUT:-900}" dotnet test "$project" --no-build -c "$config" --logger trx --results-directory "$dir" --nologo \
        --filter "${FILTER:-TestCategory!=Long}" >"$log" 2>&1
    local code=$?
    read -r p f s < <(sum "$dir")
    if [ $code -ne 0 ] && [ "$f" -eq 0 ]; then
        echo "$name: dotnet test ended with $code and no failed test (a crash, or no result file)" >>"$log"
        touch "$dir/crashed"
        f=1
    fi

    {
        if [ "$f" -ne 0 ]; then
            cat "$log"
        fi
        echo "$name: $p passed, $f failed, $s skipped ($((SECONDS - begin)) s)"
        # Why something was skipped, once per reason.
        if [ "$s" -ne 0 ]; then
            find "$dir" -name '*.trx' -exec awk '/<UnitTestResult / { skipped = /outcome="NotExecuted"/ } skipped && sub(/.*<Message>/, "") { sub(/<\/Message>.*/, ""); print "    skipped: " $0 }' {} + |
                sort | uniq -c | sort -rn | head -5 | sed 's/^ *\([0-9]*\) *\(.*\)/    \2 (\1)/'
        fi
    } >"$dir/report"
    cat "$dir/report" # in one write, so that two projects at a time do not mix
}

# A test project is one that uses the test SDK. The ones that drive the machine's own kernel (namespaces, iperf3) run one at a time, the others two.
alone=() together=()
for project in ${PROJECTS:-tests/*/*.csproj}; do
    [ -d "$project" ] && project=$(ls "$project"/*.csproj)
    grep -q 'Microsoft.NET.Test.Sdk' "$project" || continue
    case $project in
        *Tun.Tests* | *Kernel.Tests* | *Interop* | *Samples* | *Host.Tests*) alone+=("$project") ;;
        *) together+=("$project") ;;
    esac
done

for project in "${together[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
    run "$project" &
done
wait
for project in "${alone[@]}"; do run "$project"; done

read -r passed failed skipped < <(sum "$results")
crashed=$(find "$results" -name crashed | wc -l)
echo "took $((SECONDS - started)) s"
finish "$passed" $((failed + crashed)) "$skipped"
