using System.Diagnostics;
using System.Security.Cryptography;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Benchmarks;

/// <summary>
/// What a new connection costs S without any network, in CPU time of one thread: the primitives alone, and all that src/Crypt does for it in memory, the keys of both directions included.
/// For a resumed session there are no primitives but the key schedule.
/// </summary>
internal static class Floors
{
    private const int Rounds = 5;
    private const int HmacsOfResumption = 11;

    private static readonly CryptoProvider s_provider = CryptoProvider.Default;

    public static int Run()
    {
        using FreshKeys keys = new();
        Print("p256", PairAndDerive(TcpcryptKeyExchange.EcdheP256), Respond(TcpcryptKeyExchange.EcdheP256, keys, null));
        Print("p521", PairAndDerive(TcpcryptKeyExchange.EcdheP521), Respond(TcpcryptKeyExchange.EcdheP521, keys, null));
        foreach (int bits in (ReadOnlySpan<int>)[2048, 4096])
        {
            using RsaKeyPair rsaKey = s_provider.GenerateRsaKeyPair(bits);
            Print($"rsa-{bits}", Encrypt(rsaKey.Modulus.ToArray()), Respond(TcpcryptKeyExchange.OaepRsa, keys, rsaKey));
        }

        Print("resume", Expand, Resume(keys));
        return 0;
    }

    private static void Print(string kind, Action primitives, Action handshake) =>
        Console.WriteLine(FormattableString.Invariant($$"""{"kind":"{{kind}}","primitives_us":{{Measure(primitives):F1}},"handshake_us":{{Measure(handshake):F1}}}"""));

    /// <summary>The median of some rounds.</summary>
    private static double Measure(Action action)
    {
        int count = 1;
        action();
        long start = Stopwatch.GetTimestamp();
        for (; Stopwatch.GetElapsedTime(start) < TimeSpan.FromMilliseconds(50); count++)
        {
            action();
        }

        double[] rounds = new double[Rounds];
        for (int round = 0; round < Rounds; round++)
        {
            double cpu = Handshakes.ThreadCpuSeconds();
            for (int i = 0; i < count; i++)
            {
                action();
            }

            rounds[round] = (Handshakes.ThreadCpuSeconds() - cpu) / count * 1e6;
        }

        Array.Sort(rounds);
        return rounds[Rounds / 2];
    }

    private static Action PairAndDerive(TcpcryptKeyExchange keyExchange)
    {
        byte[] scalar = new byte[keyExchange == TcpcryptKeyExchange.EcdheP521 ? 66 : 32];
        scalar.AsSpan(1).Fill(0x5A);
        byte[] secret = new byte[scalar.Length];
        using EcKeyPair peer = s_provider.CreateEcKeyPair(keyExchange, scalar)!;
        byte[] peerKey = peer.PublicKey.ToArray();
        return () =>
        {
            using EcKeyPair pair = s_provider.CreateEcKeyPair(keyExchange, scalar)!;
            Check(pair.TryDerive(peerKey, secret));
        };
    }

    private static Action Encrypt(byte[] modulus)
    {
        byte[] message = new byte[48];
        byte[] seed = new byte[SHA256.HashSizeInBytes];
        byte[] ciphertext = new byte[modulus.Length];
        return () => Check(s_provider.TryRsaEncrypt(modulus, OaepHash.Sha256, message, seed, ciphertext));
    }

    /// <summary>As many HMACs as a resumption cannot do without: the next secret and its ID, mk[0], k_C, k_S and three keys of each ([TD-69], [TD-106]).</summary>
    private static void Expand()
    {
        Span<byte> output = stackalloc byte[KeySchedule.SecretLength];
        for (byte tag = 1; tag <= HmacsOfResumption; tag++)
        {
            KeySchedule.Expand(s_provider, output, tag, output);
        }
    }

    /// <summary>S from INIT1 to the keys.</summary>
    private static Action Respond(TcpcryptKeyExchange keyExchange, FreshKeys keys, RsaKeyPair? rsaKey)
    {
        byte[] pkConf = new byte[PkConfList.MaxLength];
        pkConf = pkConf[..PkConfList.Write([keyExchange], withMarker: true, pkConf)];
        using ClientHandshake client = new(s_provider, TcpcryptDialect.Draft, pkConf, keyExchange, [TcpcryptCipher.Aes128HmacSha256], keys, rsaKey);
        byte[] init1 = client.Init1.ToArray();
        return () =>
        {
            Check(ServerHandshake.TryAccept(s_provider, pkConf, init1, [TcpcryptCipher.Aes128HmacSha256], out ServerHandshake? server) == HandshakeError.None);
            Check(server!.Respond(keys, 0, out TcpcryptSession? session) == HandshakeError.None);
            Protect(session!);
        };
    }

    /// <summary>S from the session that was found to the keys and the next session.</summary>
    private static Action Resume(FreshKeys keys)
    {
        byte[] pkConf = new byte[PkConfList.MaxLength];
        pkConf = pkConf[..PkConfList.Write([TcpcryptKeyExchange.EcdheP256], withMarker: true, pkConf)];
        using ClientHandshake client = new(s_provider, TcpcryptDialect.Draft, pkConf, TcpcryptKeyExchange.EcdheP256, [TcpcryptCipher.Aes128HmacSha256], keys, null);
        Check(ServerHandshake.TryAccept(s_provider, pkConf, client.Init1.Span, [TcpcryptCipher.Aes128HmacSha256], out ServerHandshake? server) == HandshakeError.None);
        Check(server!.Respond(keys, 0, out TcpcryptSession? session) == HandshakeError.None);
        return () =>
        {
            TcpcryptSession next = session!.Next();
            Protect(session);
            session = next;
        };
    }

    private static void Protect(TcpcryptSession session)
    {
        new SegmentProtection(session, 1, 2).Dispose();
        session.Dispose();
    }

    private static void Check(bool isGood)
    {
        if (!isGood)
        {
            throw new InvalidOperationException("A primitive refused its input.");
        }
    }

    /// <summary>Nothing is prepared: all that a connection needs is in its own figure.</summary>
    private sealed class FreshKeys : IHandshakeKeys, IDisposable
    {
        private readonly RandomNumberGenerator _random = RandomNumberGenerator.Create();

        public void Fill(Span<byte> destination) => _random.GetBytes(destination);

        public EcKeyPair TakePair(TcpcryptKeyExchange keyExchange)
        {
            Span<byte> scalar = stackalloc byte[keyExchange == TcpcryptKeyExchange.EcdheP521 ? 66 : 32];
            while (true)
            {
                Fill(scalar);
                scalar[0] &= 1;
                if (s_provider.CreateEcKeyPair(keyExchange, scalar) is { } pair)
                {
                    return pair;
                }
            }
        }

        public void Dispose() => _random.Dispose();
    }
}
