namespace Tcpcrypt.Samples.Tests;

/// <summary>Two sites, each a network namespace with a host in it and a gateway, and the uplink in between.</summary>
public sealed class GatewayPairTests
{
    // Site A is 10.1.0.0/24, here; site B is 10.2.0.0/24, in a namespace within this one. The uplink: 10.0.0.1 and 10.0.0.2, behind them the gateways' stacks 10.0.1.2 and 10.0.2.2.
    private const string Sites = """
        unshare -n sleep 110 & b=$!
        until [ "$(readlink /proc/$b/ns/net)" != "$(readlink /proc/$$/ns/net)" ] && [ -n "$(readlink /proc/$b/ns/net)" ]; do sleep 0.1; done
        at_b() { nsenter -t $b -n "$@"; }
        site() { # N COMMAND...: site number N is set up by running ip as COMMAND
            n=$1; other=$((3 - n)); shift
            "$@" ip link set lo up; "$@" ip addr add 10.$n.0.1/24 dev lo
            "$@" ip addr add 10.0.0.$n/24 dev uplink; "$@" ip link set uplink mtu ${mtu:-1500} up
            "$@" ip route add 10.0.$other.0/24 via 10.0.0.$other
            "$@" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
        }
        ip link add uplink type veth peer name uplink netns $b
        site 1 env; site 2 at_b
        head -c 32 /dev/urandom >"$work/key"
        gateway="$ROOT/samples/gateway-pair/bin/$CONFIG/net10.0/gateway-pair.dll"
        gateway_b() {
            nsenter -t $b -n dotnet "$gateway" --host 10.0.2.1/24 --stack 10.0.2.2/24 ${key_b:-$work/key} 10.0.1.2 10.1.0.0/24 >"$work/b.log" 2>&1 & gateway_b=$!
            until_said "$work/b.log" 'is behind'; at_b ip route change 10.1.0.0/24 dev site0 src 10.2.0.1
        }
        dotnet "$gateway" --host 10.0.1.1/24 --stack 10.0.1.2/24 "$work/key" 10.0.2.2 10.2.0.0/24 >"$work/a.log" 2>&1 &
        gateway_b; until_said "$work/a.log" 'is behind'; ip route change 10.2.0.0/24 dev site0 src 10.1.0.1
        cat >"$work/echo.py" <<'END'
        import socket, threading
        s = socket.socket(); s.bind(("10.2.0.1", 7000)); s.listen(1000); print("listening", flush=True)
        def echo(c):
            try:
                while part := c.recv(65536): c.sendall(part)
            except OSError: pass
            c.close()
        while True: threading.Thread(target=echo, args=(s.accept()[0],), daemon=True).start()
        END

        """;

    [Test]
    public async Task Programs_of_two_sites_talk_under_their_own_addresses_and_the_uplink_shows_nothing_of_it()
    {
        string output = await Shell.RunInNamespaceAsync(Sites + """
            tcpdump -n -i uplink -U -s 0 -w "$work/uplink.pcap" 2>"$work/tcpdump.log" & dump=$!
            tcpdump -n -i site0 -U -s 0 -w "$work/site.pcap" 2>"$work/tcpdump2.log" & dump2=$!
            until_said "$work/tcpdump.log" 'listening on'; until_said "$work/tcpdump2.log" 'listening on'
            mkdir "$work/www"; for i in $(seq 20000); do echo "top secret, line $i"; done >"$work/www/file"
            nsenter -t $b -n python3 -m http.server --bind 10.2.0.1 --directory "$work/www" 8000 >"$work/python.log" 2>&1 &
            until_open 10.2.0.1 8000
            curl -s -S --max-time 20 -o "$work/got" http://10.2.0.1:8000/file || fail curl
            cmp "$work/www/file" "$work/got" && echo same
            grep GET "$work/python.log"
            kill $dump $dump2; wait $dump $dump2
            echo "site: $(grep -a -c 'top secret' "$work/site.pcap" | sed 's/^[1-9].*/some/')"
            echo "uplink: $(grep -a -c -e 'top secret' -e 'GET /file' "$work/uplink.pcap")"
            echo "uplink octets: $(wc -c <"$work/uplink.pcap" | sed 's/^......*/many/')"
            """, "python3", "curl", "tcpdump", "nsenter");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(output, Does.Contain("same").And.Contain("10.1.0.1 - - "), "the server sees the client's own address");
            Assert.That(output, Does.Contain("site: some").And.Contain("uplink: 0").And.Contain("uplink octets: many"), "no plaintext between the gateways");
        }
    }

    [Test]
    public async Task Half_close_and_reset_and_refusal_cross_both_gateways()
    {
        string output = await Shell.RunInNamespaceAsync(Sites + """
            cat >"$work/far.py" <<'END'
            import socket, struct
            s = socket.socket(); s.bind(("10.2.0.1", 7000)); s.listen(); print("listening", flush=True)
            c, peer = s.accept(); data = b""
            while part := c.recv(4096): data += part
            print("half-closed after", len(data), flush=True); c.sendall(b"still here"); c.close()
            c, peer = s.accept(); c.recv(1); c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); c.close()
            c, peer = s.accept()
            try: c.recv(1); c.recv(1)
            except ConnectionResetError: print("far end: reset", flush=True)
            END
            cat >"$work/near.py" <<'END'
            import socket, struct
            c = socket.create_connection(("10.2.0.1", 7000)); c.sendall(b"x" * 300000); c.shutdown(socket.SHUT_WR); print("answer:", c.recv(100).decode()); c.close()
            c = socket.create_connection(("10.2.0.1", 7000)); c.sendall(b"x")
            try: c.recv(1)
            except ConnectionResetError: print("near end: reset")
            c = socket.create_connection(("10.2.0.1", 7000)); c.sendall(b"x"); c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); c.close()
            try: socket.create_connection(("10.2.0.1", 7001))
            except ConnectionRefusedError: print("refused")
            END
            at_b python3 "$work/far.py" >"$work/far.log" 2>&1 & far=$!
            until_said "$work/far.log" listening
            timeout 30 python3 "$work/near.py" || fail near
            until_said "$work/far.log" 'reset'; cat "$work/far.log"
            """, "python3", "nsenter");
        string[] expected = ["half-closed after 300000", "answer: still here", "near end: reset", "far end: reset", "refused"];
        Assert.That(expected.Where(line => !output.Contains(line, StringComparison.Ordinal)), Is.Empty, output);
    }

    [Test]
    public async Task Many_connections_at_once_and_much_data_both_ways_cross_a_narrow_uplink()
    {
        string output = await Shell.RunInNamespaceAsync("mtu=1400\n" + Sites + """
            cat >"$work/near.py" <<'END'
            import hashlib, os, socket, sys, threading
            def talk(octets):
                c = socket.create_connection(("10.2.0.1", 7000), 30); data = os.urandom(octets); got = hashlib.sha256()
                threading.Thread(target=lambda: (c.sendall(data), c.shutdown(socket.SHUT_WR)), daemon=True).start()
                while part := c.recv(65536): got.update(part)
                return got.digest() == hashlib.sha256(data).digest()
            print("much:", talk(5_000_000)); results = []
            threads = [threading.Thread(target=lambda: results.append(talk(5000))) for _ in range(500)]
            [t.start() for t in threads]; [t.join() for t in threads]; print("many:", sum(results), flush=True); sys.exit(sum(results) != 500)
            END
            at_b python3 "$work/echo.py" >"$work/echo.log" 2>&1 &
            until_said "$work/echo.log" listening
            timeout 60 python3 "$work/near.py" || fail near
            """, "python3", "nsenter");
        Assert.That(output, Does.Contain("much: True").And.Contain("many: 500"));
    }

    [Test]
    public async Task Gateway_that_is_killed_or_ended_resets_what_it_carried_and_its_successor_carries_on()
    {
        string output = await Shell.RunInNamespaceAsync(Sites + """
            cat >"$work/near.py" <<'END'
            import socket, sys, time
            c = socket.create_connection(("10.2.0.1", 7000), 30)
            try:
                while True: c.sendall(b"x"); c.recv(1); print("carried", flush=True); time.sleep(0.2)
            except ConnectionResetError: print("reset", flush=True)
            END
            at_b python3 "$work/echo.py" >"$work/echo.log" 2>&1 &
            until_said "$work/echo.log" listening
            timeout 60 python3 "$work/near.py" >"$work/killed.log" 2>&1 & until_said "$work/killed.log" carried
            kill -9 $gateway_b; wait $gateway_b 2>/dev/null; gateway_b
            timeout 60 python3 "$work/near.py" >"$work/ended.log" 2>&1 & until_said "$work/ended.log" carried; echo "new ones work"
            until_said "$work/killed.log" reset; echo "killed: reset"
            kill $gateway_b; until_said "$work/ended.log" reset; echo "ended: reset"
            wait $gateway_b; echo "code $?"
            """, "python3", "nsenter");
        Assert.That(output, Does.Contain("new ones work").And.Contain("killed: reset").And.Contain("ended: reset").And.Contain("code 0"));
    }

    [Test]
    public async Task What_is_not_tcp_goes_nowhere()
    {
        string output = await Shell.RunInNamespaceAsync(Sites + """
            nsenter -t $b -n tcpdump -n -l -i any 'icmp or udp' >"$work/far.txt" 2>"$work/tcpdump.log" &
            tcpdump -n -l -i uplink 'icmp or udp' >"$work/uplink.txt" 2>"$work/tcpdump2.log" &
            until_said "$work/tcpdump.log" 'listening on'; until_said "$work/tcpdump2.log" 'listening on'
            ping -c 1 -W 1 10.2.0.1 >"$work/ping.txt"; echo "ping $?"
            echo hello >/dev/udp/10.2.0.1/53; sleep 0.5
            cat "$work/far.txt" "$work/uplink.txt" | grep -e 10.1.0.1 && echo leaked
            """ + "\ntrue\n", "ping", "tcpdump", "nsenter");
        Assert.That(output, Does.Contain("ping 1").And.Not.Contain("leaked"));
    }

    [Test]
    public async Task Gateway_with_another_key_carries_nothing()
    {
        string output = await Shell.RunInNamespaceAsync("""head -c 32 /dev/urandom >"$work/wrong"; key_b="$work/wrong" """ + "\n" + Sites + """
            nsenter -t $b -n python3 -m http.server --bind 10.2.0.1 8000 >"$work/python.log" 2>&1 &
            sleep 1
            curl -s --max-time 10 http://10.2.0.1:8000/; echo "code $?"
            until_said "$work/a.log" 'has not proved'; until_said "$work/b.log" 'has not proved'
            cat "$work/python.log"
            """, "python3", "curl", "nsenter");
        Assert.That(output, Does.Contain("code 7").And.Not.Contain("GET"));
    }
}
