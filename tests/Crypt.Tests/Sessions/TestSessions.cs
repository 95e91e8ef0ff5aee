using System.Net;
using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Sessions;

/// <summary>Sessions out of a number, and both ends of one.</summary>
internal static class TestSessions
{
    public static readonly IPAddress Peer = IPAddress.Parse("192.0.2.1");
    public static readonly IPAddress OtherPeer = IPAddress.Parse("192.0.2.2");

    /// <summary>ss[0] as a handshake leaves it.</summary>
    public static TcpcryptSession Create(int number, TcpcryptRole role = TcpcryptRole.C, TcpcryptDialect dialect = TcpcryptDialect.Draft)
    {
        byte[] secret = new byte[KeySchedule.SecretLength];
        BitConverter.TryWriteBytes(secret, number);
        return new TcpcryptSession(CryptoProvider.Portable, secret, new SessionAgreement
        {
            Dialect = dialect,
            Role = role,
            KeyExchange = TcpcryptKeyExchange.EcdheP256,
            Cipher = TcpcryptCipher.Aes128HmacSha256,
            PublicKeySize = 256,
        });
    }

    /// <summary>ss[index] of the chain that begins with the number.</summary>
    public static TcpcryptSession At(int number, long index, TcpcryptRole role = TcpcryptRole.C, TcpcryptDialect dialect = TcpcryptDialect.Draft)
    {
        TcpcryptSession session = Create(number, role, dialect);
        while (session.Index < index)
        {
            session = session.Next();
        }

        return session;
    }

    public static byte[] Identifier(int number, long index) => At(number, index).Identifier.ToArray();

    public static bool IsWiped(TcpcryptSession session)
    {
        try
        {
            return session.Secret.IsEmpty;
        }
        catch (ObjectDisposedException)
        {
            return true;
        }
    }
}

/// <summary>A clock that stands still until it is told to go on.</summary>
internal sealed class ManualTime : TimeProvider
{
    private long _ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _ticks;

    public void Advance(TimeSpan time) => _ticks += time.Ticks;
}
