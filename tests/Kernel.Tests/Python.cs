namespace Tcpcrypt.Kernel.Tests;

/// <summary>Programs for the kernel's side, for <c>python3 -c</c>.</summary>
internal static class Python
{
    /// <summary>HOST PORT OCTETS: connects, sends, and prints the SHA-256 of what it sent. The blocks are numbered, so that no exchange of them goes unseen.</summary>
    public const string Send = """
        import hashlib, os, socket, sys
        left, number, hash = int(sys.argv[3]), 0, hashlib.sha256()
        block = bytearray(os.urandom(1 << 20))
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), 30) as s:
            while left > 0:
                block[:8] = number.to_bytes(8, "big")
                part = memoryview(block)[:min(left, len(block))]
                s.sendall(part)
                hash.update(part)
                left -= len(part)
                number += 1
            s.shutdown(socket.SHUT_WR)
            assert s.recv(1) == b""
        print(hash.hexdigest())
        """;

    /// <summary>HOST PORT: connects, receives to the end, and prints the number of octets and their SHA-256.</summary>
    public const string Receive = """
        import hashlib, socket, sys
        count, hash, buffer = 0, hashlib.sha256(), bytearray(1 << 20)
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), 30) as s:
            while got := s.recv_into(buffer):
                hash.update(memoryview(buffer)[:got])
                count += got
        print(count, hash.hexdigest())
        """;

    /// <summary>HOST PORT CONNECTIONS OCTETS: that many connections at once, each with content of its own, echoed and compared.</summary>
    public const string ManyClients = """
        import asyncio, random, sys
        host, port, connections, octets = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
        everybody = asyncio.Event()
        async def one(number):
            reader, writer = await asyncio.open_connection(host, port)
            global open_now
            open_now += 1
            if open_now == connections:
                everybody.set()
            await everybody.wait()
            data = random.Random(number).randbytes(octets)
            writer.write(data)
            writer.write_eof()
            await writer.drain()
            good = await reader.read(-1) == data
            writer.close()
            return good
        open_now = 0
        async def main():
            print(sum(await asyncio.gather(*map(one, range(connections)))), "good")
        asyncio.run(main())
        """;

    /// <summary>HOST PORT: echoes for ever. Says "ready".</summary>
    public const string EchoServer = """
        import asyncio, sys
        async def echo(reader, writer):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
        async def main():
            server = await asyncio.start_server(echo, sys.argv[1], int(sys.argv[2]), backlog=1000)
            print("ready", flush=True)
            await server.serve_forever()
        asyncio.run(main())
        """;

    /// <summary>HOST: UDP probes with rising time to live; prints who sent which ICMP error, until the host itself did.</summary>
    public const string Traceroute = """
        import socket, struct, sys
        IP_RECVERR, MSG_ERRQUEUE = 11, 0x2000
        for ttl in range(1, 6):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            s.settimeout(20)
            s.connect((sys.argv[1], 33434))
            s.send(b"probe")
            try:
                s.recv(1)
            except OSError:
                pass
            ancillary = s.recvmsg(1000, 1000, MSG_ERRQUEUE)[1]
            error = next(data for level, kind, data in ancillary if kind == IP_RECVERR)
            kind, code = error[5], error[6]
            sender = socket.inet_ntoa(error[20:24])
            print(ttl, sender, "type", kind, "code", code)
            if sender == sys.argv[1]:
                break
        """;
}
