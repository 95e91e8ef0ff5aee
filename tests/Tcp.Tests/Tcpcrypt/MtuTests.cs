using System.Buffers.Binary;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.Tests.TwoStacks;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>INIT1 and INIT2 are one segment each, whatever the link, the peer and the path have room for.</summary>
public sealed class MtuTests
{
    /// <summary>INIT1 with a modulus of 4096 bits and two ciphers, its CRYPT option and timestamps.</summary>
    private const int LongestInit = 16 + 8 + 32 + 512 + 4 + 12;

    [Test]
    [Spec("TD-64"), Spec("TD-111"), Spec("REF-3.1")]
    public void A_key_exchange_is_chosen_whose_messages_fit_the_link(
        [Values(576, LongestInit + 39, LongestInit + 40)] int mtu,
        [Values] bool isOption,
        [Values(TcpcryptKeyExchange.OaepRsa, TcpcryptKeyExchange.EcdheP521)] TcpcryptKeyExchange preferred,
        [Values] bool reference)
    {
        Pair pair = new(client: Configure, server: Configure);
        pair.Server.Core.Crypt!.Settings = pair.Server.Core.Crypt.Settings with { SendsMarker = !reference };
        if (isOption)
        {
            Assert.That(pair.Listener.SetOption(SteppedSocketOption.MaximumSegment, mtu - 40), Is.EqualTo(SocketError.Success));
        }

        int longest = 0;
        pair.Link.Tap = packet => longest = Math.Max(longest, packet.Packet.Length);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();

        bool fits = preferred == TcpcryptKeyExchange.EcdheP521 || mtu - 40 >= LongestInit;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(client.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted));
            Assert.That(client.Tcpcrypt!.KeyExchange, Is.EqualTo(fits ? preferred : TcpcryptKeyExchange.EcdheP256));
            Assert.That(client.Tcpcrypt!.Dialect, Is.EqualTo(reference ? TcpcryptDialect.Reference : TcpcryptDialect.Draft));
            Assert.That(longest, Is.LessThanOrEqualTo(mtu));
        }

        pair.Transfer(client, server, 20_000);
        Assert.That(longest, Is.LessThanOrEqualTo(mtu));

        void Configure(SteppedStackOptions options)
        {
            options.Mtu = isOption ? 1500 : mtu;
            options.Tcpcrypt = true;
            options.TcpcryptOptions.KeyExchanges = [preferred, TcpcryptKeyExchange.EcdheP256];
            options.TcpcryptOptions.PrepareRsaKey = true;
        }
    }

    [Test]
    [Spec("TD-64")]
    public void A_listener_offers_what_fits_the_segments_that_it_announces([Values(0, 536)] int limit)
    {
        CryptBench bench = new();
        bench.Listener.SetOption(SteppedSocketOption.MaximumSegment, limit);
        CryptPeer peer = bench.NewPeer();
        byte[]? answer = peer.Open([]).Crypt;
        Assert.That(answer, Is.EqualTo(limit == 0 ? Say.OurPkConf : Say.PkConf(Say.P256, Say.P521, Say.Marker)));
    }

    [Test]
    [Spec("TD-64")]
    public void What_C_offers_as_RSA_key_is_judged_by_the_size_that_the_dialect_demands([Values] bool reference)
    {
        // 2048 bits fit where 4096 do not, and tcpcryptd takes 4096 only.
        CryptBench bench = new(options =>
        {
            options.RsaKeySize = 2048;
            options.PrepareRsaKey = true;
        });
        CryptPeer peer = bench.Connect(out _);
        peer.KeyExchange = TcpcryptKeyExchange.OaepRsa;
        byte[] pkConf = reference ? Say.PkConf(Say.Rsa, Say.P256) : Say.PkConf(Say.Rsa, Say.P256, Say.Marker);
        peer.TakePkConf(pkConf);
        Heard init1 = peer.Send(Seg.SynAck([.. Opt.Mss(536), .. Say.Option(pkConf)])).Single();
        Assert.That(init1.Data, Has.Length.EqualTo(reference ? 16 + 4 + 32 + 65 : 16 + 8 + 32 + 256));
    }

    /// <summary>Where a router on the way is narrower than both links, and whether it says so.</summary>
    [Test]
    [Spec("TD-64")]
    public void A_path_that_is_narrower_than_INIT_gets_it_in_fragments(
        [Values(576, 1500)] int forth,
        [Values] bool isSilent,
        [Values] bool reference)
    {
        SecretTalk talk = new(31, Attacks.None, Configure, Configure);
        talk.Path.B.Core.Crypt!.Settings = talk.Path.B.Core.Crypt.Settings with { SendsMarker = !reference };
        const int back = 560;
        talk.Path.Hook = (toA, packet) => Forward(talk.Path, toA, packet, toA ? back : forth, isSilent);
        Assert.That(talk.Connect(), Is.True, $"{talk}");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(talk.IsEncrypted, Is.True);
            Assert.That(talk.Client.Tcpcrypt!.KeyExchange, Is.EqualTo(TcpcryptKeyExchange.OaepRsa));
            Assert.That(talk.Client.Tcpcrypt!.Dialect, Is.EqualTo(reference ? TcpcryptDialect.Reference : TcpcryptDialect.Draft));
        }

        if (!isSilent)
        {
            Assert.That(talk.Path.NowNs, Is.LessThan(1_000_000_000), "no time-out had to pass");
            Assert.That(talk.Transfer(50_000), Is.True, $"{talk}");
        }

        static void Configure(SteppedStackOptions options)
        {
            options.TcpcryptOptions.KeyExchanges = [TcpcryptKeyExchange.OaepRsa];
            options.TcpcryptOptions.Policy = TcpcryptPolicy.Required;
        }
    }

    /// <summary>A router with a link of some MTU behind it (RFC 1812 §5.2.6): what may not be cut is dropped, and the sender told.</summary>
    private static byte[]? Forward(HostilePath path, bool toA, byte[] packet, int mtu, bool isSilent)
    {
        if (packet.Length <= mtu)
        {
            return packet;
        }

        if ((packet[6] & 0x40) != 0)
        {
            if (!isSilent)
            {
                path.Inject(!toA, TooBig(packet, mtu));
            }

            return null;
        }

        int perFragment = (mtu - 20) & ~7;
        for (int at = 20; at < packet.Length; at += perFragment)
        {
            int count = Math.Min(perFragment, packet.Length - at);
            byte[] fragment = [.. packet[..20], .. packet[at..(at + count)]];
            BinaryPrimitives.WriteUInt16BigEndian(fragment.AsSpan(2), (ushort)fragment.Length);
            BinaryPrimitives.WriteUInt16BigEndian(fragment.AsSpan(6), (ushort)(((at - 20) / 8) | (at + count < packet.Length ? 0x2000 : 0)));
            FixHeaderChecksum(fragment);
            path.Inject(toA, fragment);
        }

        return null;
    }

    private static byte[] TooBig(byte[] packet, int mtu)
    {
        byte[] message = [3, 4, 0, 0, 0, 0, (byte)(mtu >> 8), (byte)mtu, .. packet[..28]];
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(2), InternetChecksum.Finish(InternetChecksum.Sum(message)));
        byte[] icmp = [.. packet[..20], .. message];
        packet.AsSpan(12, 4).CopyTo(icmp.AsSpan(16));
        ((byte[])[10, 0, 0, 254]).CopyTo(icmp.AsSpan(12));
        icmp[9] = 1;
        BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(2), (ushort)icmp.Length);
        FixHeaderChecksum(icmp);
        return icmp;
    }

    private static void FixHeaderChecksum(byte[] packet)
    {
        packet[10] = packet[11] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), InternetChecksum.Finish(InternetChecksum.Sum(packet.AsSpan(0, 20))));
    }
}
