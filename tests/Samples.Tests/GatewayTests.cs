namespace Tcpcrypt.Samples.Tests;

/// <summary>The gateway with the programs that people would use through it.</summary>
public sealed class GatewayTests
{
    [Test]
    public async Task Curl_gets_a_file_through_the_gateway_and_a_refusal_stays_one()
    {
        string output = await Shell.RunInNamespaceAsync("""
            mkdir "$work/www"; head -c 20000000 /dev/urandom >"$work/www/file"
            python3 -m http.server --bind 127.0.0.1 --directory "$work/www" 8000 >"$work/python.log" 2>&1 & until_open 127.0.0.1 8000
            start relaying gateway
            curl -s -S --max-time 20 -o "$work/got" http://198.18.0.1:8000/file || fail curl
            cmp "$work/www/file" "$work/got" && echo same
            curl -s --max-time 10 http://198.19.255.1:8001/; echo "refused: code $?"
            """, "python3", "curl");
        Assert.That(output, Does.Contain("same").And.Contain("refused: code 7"), "curl's 7 is: connection refused");
    }

    [Test]
    public async Task Iperf3_runs_both_ways_through_the_gateway()
    {
        string output = await Shell.RunInNamespaceAsync("""
            iperf3 -s --forceflush -B 127.0.0.1 >"$work/iperf.log" 2>&1 & until_said "$work/iperf.log" listening
            start relaying gateway
            iperf3 -c 198.18.0.1 -t 1 >"$work/out.log" 2>&1 && grep receiver "$work/out.log" || fail out
            until_said "$work/iperf.log" "test #2"  # iperf3 closes its listening socket between two tests
            iperf3 -c 198.18.0.1 -t 1 -R >"$work/in.log" 2>&1 && grep receiver "$work/in.log" || fail in
            until_said "$work/iperf.log" "test #3"
            iperf3 -c 198.18.0.1 -t 1 -u -b 20M >"$work/udp.log" 2>&1 && grep receiver "$work/udp.log" || fail udp
            """, "iperf3");
        Assert.That(output.Split("receiver"), Has.Length.EqualTo(4), output);
    }

    [Test]
    public async Task Ssh_logs_in_through_the_gateway()
    {
        string output = await Shell.RunInNamespaceAsync("""
            ssh-keygen -q -t ed25519 -N '' -f "$work/host" && ssh-keygen -q -t ed25519 -N '' -f "$work/user"
            cp "$work/user.pub" "$work/authorized"; chmod 700 "$work"; chmod 600 "$work/authorized"
            mkdir -p /run/sshd 2>/dev/null
            "$(command -v sshd)" -D -e -p 2222 -o ListenAddress=127.0.0.1 -o HostKey="$work/host" -o AuthorizedKeysFile="$work/authorized" -o PidFile=none \
                -o StrictModes=no -o UsePAM=no -o PermitRootLogin=yes -f /dev/null >"$work/sshd.log" 2>&1 &
            until_open 127.0.0.1 2222
            start relaying gateway
            seq 100000 | ssh -p 2222 -i "$work/user" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o IdentitiesOnly=yes -F /dev/null \
                198.18.0.1 'wc -l; echo logged in' || fail ssh
            """, "sshd", "ssh", "ssh-keygen");
        Assert.That(output, Does.Contain("100000").And.Contain("logged in"));
    }
}
