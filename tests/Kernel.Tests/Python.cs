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

    /// <summary>SOURCE HOST PORT COUNT: a peer at an address that no host has, who asks for data in small segments and answers with that many ACKs whose SACK blocks are hostile.</summary>
    public const string SackBomber = """
        import random, socket, struct, sys, time
        source, target, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
        out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        tap.settimeout(20)
        addresses = socket.inet_aton(source) + socket.inet_aton(target)
        def send(seq, ack, flags, window, options):
            tcp = struct.pack("!HHIIBBHHH", 40000, port, seq & 0xffffffff, ack & 0xffffffff, (20 + len(options)) // 4 << 4, flags, window, 0, 0) + options
            total = sum(struct.unpack(f"!{len(tcp) // 2}H", tcp)) + sum(struct.unpack("!4H", addresses)) + 6 + len(tcp)
            while total >> 16:
                total = (total & 0xffff) + (total >> 16)
            tcp = tcp[:16] + struct.pack("!H", ~total & 0xffff) + tcp[18:]
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + addresses
            try:
                out.sendto(ip + tcp, (target, 0))
            except OSError:
                pass
        send(0, 0, 2, 65535, b"\x02\x04\x00\x40\x04\x02\x01\x01\x01\x03\x03\x07")
        while True:
            packet = tap.recv(2000)
            if packet[12:16] == socket.inet_aton(target) and packet[16:20] == socket.inet_aton(source) and packet[33] == 0x12:
                break
        start = struct.unpack("!I", packet[24:28])[0] + 1
        send(1, start, 16, 60000, b"")
        tap.close()
        chance, acknowledged = random.Random(1), 0
        for number in range(count):
            blocks = b""
            for block in range(4):
                kind = chance.randrange(4)
                left = start + acknowledged + (2 * number + 8 * block) % 60000 if kind < 2 else start + chance.randrange(2_000_000) if kind == 2 else chance.getrandbits(32)
                right = left + (1 if kind < 2 else chance.randrange(-50, 5000))
                blocks += struct.pack("!II", left & 0xffffffff, right & 0xffffffff)
            if number % 100 == 99:
                acknowledged += 64
            send(1, start + acknowledged, 16, chance.choice((0, 1, 500, 60000)), b"\x01\x01\x05\x22" + blocks)
            if number % 100 == 0:
                time.sleep(0.003)
        print("sacks", count)
        """;
}
