using System.Buffers.Binary;
using System.Net.NetworkInformation;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>An attacker who sees what passes uses it again: cookies, session identifiers, and fragments of encrypted segments.</summary>
public sealed class FloodTests
{
    [Test]
    [Spec("TD-58")]
    [Spec("HI_ENC_11")]
    public void A_cookie_is_of_no_use_to_who_has_seen_it()
    {
        SecretTalk talk = new(41, Attacks.None, server: static options => options.Tcp.SynCacheSize = 1);
        byte[]? syn = null;
        byte[]? init1 = null;
        talk.Path.Hook = (toA, packet) =>
        {
            syn = !toA && packet[33] == 0x02 ? packet : syn;
            init1 = !toA && init1 is null && packet.Length > 150 ? packet : init1;
            return packet;
        };
        talk.Path.Inject(toA: false, Seg.Syn().ToPacket(new(Core.Ipv4Address.Parse("10.0.0.77"), 4000), new(Core.Ipv4Address.Parse("10.0.0.2"), 80), 1, 0));
        Assert.That(talk.Connect() && talk.IsEncrypted, Is.True);
        Core.StackCounters counters = talk.Path.B.Core.Counters;
        Assert.That(counters.CryptCookiesAccepted, Is.EqualTo(1));

        // From elsewhere, and with other numbers: nothing is kept, and nobody gets a connection.
        for (int i = 0; i < 500; i++)
        {
            byte[] copy = [.. init1!];
            copy[15] = (byte)(100 + (i % 50));
            BinaryPrimitives.WriteUInt16BigEndian(copy.AsSpan(20), (ushort)(10_000 + i));
            if (i % 3 == 0)
            {
                copy[27]++;
            }

            Seg.FixChecksums(copy);
            talk.Path.Inject(toA: false, copy);
        }

        talk.Path.Pass(1);
        Assert.That(counters.CryptCookiesAccepted, Is.EqualTo(1));
        Assert.That(talk.Path.B.Core.Tcp.Endpoints, Has.Count.EqualTo(1));

        // During the connection, and again when it is over: INIT1 is no data, and without the private key nothing comes of it.
        talk.Path.Inject(toA: false, init1!);
        Assert.That(talk.Transfer(20_000), Is.True, $"{talk}");
        talk.Client.Close();
        talk.Server!.Close();
        talk.Path.Pass(5);
        for (int i = 0; i < 50; i++)
        {
            talk.Path.Hook = static (toA, packet) => toA ? null : packet;
            talk.Path.Inject(toA: false, init1!);
            talk.Path.Pass(0.1);
            Assert.That(talk.Path.B.Core.Tcp.Endpoints.Count, Is.LessThanOrEqualTo(1));
            Assert.That(talk.Path.B.Core.Tcp.Endpoints.Sum(static endpoint => endpoint.ReceiveQueue.Length), Is.Zero);
        }

        talk.Path.Pass(4000);
        Assert.That(talk.Path.B.Core.Tcp.Endpoints, Is.Empty);
        Assert.That(talk.Path.B.Core.Tcp.SynCache.InHandshake, Is.Zero);
        Assert.That(counters.CryptCookiesAccepted, Is.LessThanOrEqualTo(2));
        talk.Path.Hook = null;
        Assert.That(talk.Connect() && talk.IsEncrypted && talk.Transfer(5_000), Is.True, "and the next one works");
    }

    [Test]
    [Spec("TD-123"), Spec("TD-103")]
    [Spec("HI_ENC_10")]
    public void A_stolen_session_identifier_costs_the_short_handshake_and_nothing_else([Values] bool sameEnds, [Range(1, 3)] int seed)
    {
        SecretTalk talk = new(seed, Attacks.None, Require, Require);
        Assert.That(talk.Connect() && talk.Transfer(1000), Is.True);
        talk.Path.Pass(100);
        long before = talk.Path.B.Core.Counters.TcpPassiveOpens;
        int stolen = 0;
        talk.Path.Hook = (toA, packet) =>
        {
            if (stolen == 0 && !toA && packet[33] == 0x02 && packet.AsSpan(40).IndexOf((byte)0x84) >= 0)
            {
                // Faster than the genuine one, from an address of the attacker's or with the opener's own and another number.
                for (int i = 0; i < 20; i++, stolen++)
                {
                    byte[] copy = [.. packet];
                    copy[sameEnds ? 25 : 15] += (byte)(1 + i);
                    Seg.FixChecksums(copy);
                    talk.Path.Inject(toA: false, copy, delayNs: 1000 + i);
                }
            }

            return packet;
        };
        Assert.That(talk.Connect(), Is.True, $"{talk}");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(stolen, Is.GreaterThan(0));
            Assert.That(talk.IsEncrypted, Is.True);
            Assert.That(talk.Client.Tcpcrypt!.IsResumed, Is.False);
            Assert.That(talk.Path.B.Core.Counters.CryptResumptions, Is.EqualTo(1), "one use");
        }

        talk.Path.Hook = null;
        Assert.That(talk.Transfer(20_000), Is.True, $"{talk}");
        talk.Path.Pass(600);
        Assert.That(talk.Path.B.Core.Tcp.Endpoints, Is.Empty, "what the attacker has begun");
        Assert.That(talk.Path.B.Core.Counters.TcpPassiveOpens - before, Is.LessThanOrEqualTo(3));
        Assert.That(talk.Connect() && talk.Client.Tcpcrypt!.IsResumed && talk.Transfer(1000), Is.True, "the next one resumes again");

        static void Require(SteppedStackOptions options) => options.TcpcryptOptions.Policy = TcpcryptPolicy.Required;
    }

    [Test]
    [Spec("TD-35"), Spec("TD-114")]
    [Spec("HI_ENC_06")]
    public void Fragments_that_nobody_sent_do_not_change_an_encrypted_connection([Values] bool isCut, [Range(1, 6)] int seed)
    {
        Random random = new(seed);
        SecretTalk talk = new(seed, Attacks.None);
        List<byte[]> past = [];
        talk.Path.Hook = (toA, packet) =>
        {
            past.Add(packet);
            int rest = packet.Length - 20;
            if (talk.IsEncrypted && random.Next(4) == 0)
            {
                byte[] old = past[random.Next(past.Count)];
                bool isOldToA = old[19] == 1;
                switch (random.Next(5))
                {
                    case 0:
                        // The first one forged, with the genuine identification; the rest is genuine.
                        byte[] forged = [.. packet];
                        random.NextBytes(forged.AsSpan(Math.Min(40, forged.Length)));
                        Cut(talk.Path, toA, forged, 0, Math.Min(rest, 48));
                        Cut(talk.Path, toA, packet, Math.Min(rest, 48), rest);
                        break;
                    case 1:
                        // Tiny ones: the header in two, the octet with the flags in the second.
                        Cut(talk.Path, toA, packet, 0, 8);
                        Cut(talk.Path, toA, packet, 8, 16);
                        Cut(talk.Path, toA, packet, 16, rest);
                        break;
                    case 2:
                        // Overlapping, with other octets where they overlap.
                        byte[] other = [.. packet];
                        random.NextBytes(other.AsSpan(40));
                        Cut(talk.Path, toA, packet, 0, Math.Min(rest, 40));
                        Cut(talk.Path, toA, other, Math.Min(24, rest & ~7), rest);
                        break;
                    case 3:
                        // A packet of the past, in parts.
                        int half = ((old.Length - 20) / 2) & ~7;
                        Cut(talk.Path, isOldToA, old, 0, half);
                        Cut(talk.Path, isOldToA, old, half, old.Length - 20);
                        break;
                    default:
                        // A last part that never gets a first.
                        byte[] lone = [.. old];
                        random.NextBytes(lone.AsSpan(4, 2));
                        Cut(talk.Path, isOldToA, lone, 8, lone.Length - 20);
                        break;
                }
            }

            if (!isCut || packet.Length < 200)
            {
                return packet;
            }

            int middle = (rest / 2) & ~7;
            Cut(talk.Path, toA, packet, 0, middle);
            Cut(talk.Path, toA, packet, middle, rest);
            return null;
        };
        Assert.That(talk.Connect() && talk.IsEncrypted, Is.True);
        Assert.That(talk.Transfer(60_000, seconds: 7200), Is.True, $"{talk}");
        Assert.That(talk.Path.Injected, Is.GreaterThan(20));
    }

    /// <summary>Sends a part of a packet's payload as a fragment.</summary>
    private static void Cut(HostilePath path, bool toA, byte[] packet, int from, int to)
    {
        if (to <= from)
        {
            return;
        }

        byte[] fragment = [.. packet[..20], .. packet[(20 + from)..(20 + to)]];
        BinaryPrimitives.WriteUInt16BigEndian(fragment.AsSpan(2), (ushort)fragment.Length);
        BinaryPrimitives.WriteUInt16BigEndian(fragment.AsSpan(6), (ushort)((from / 8) | (to < packet.Length - 20 ? 0x2000 : 0)));
        fragment[10] = fragment[11] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(fragment.AsSpan(10), InternetChecksum.Finish(InternetChecksum.Sum(fragment.AsSpan(0, 20))));
        path.Inject(toA, fragment);
    }
}
