using System.Buffers.Binary;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

/// <summary>The keys of cookies: a new one every 64 seconds, and the one before it, so that a cookie is good for one to two minutes. One bit in the cookie says which of the two it is.</summary>
internal sealed class CookieKeys(IRandomSource random)
{
    public static readonly TimeSpan Epoch = TimeSpan.FromSeconds(64);

    /// <summary>What <see cref="WriteTuple"/> writes, in octets.</summary>
    public const int TupleLength = 12;

    private SipHash _previous = new(random);
    private long _epoch = -1;

    public SipHash Current { get; private set; } = new(random);

    /// <summary>What a cookie made with <see cref="Current"/> has to say.</summary>
    public uint CurrentBit => (uint)(_epoch & 1);

    /// <summary>The key of a cookie that came back.</summary>
    public SipHash Of(uint bit) => bit == CurrentBit ? Current : _previous;

    public void Advance(TcpInstant now)
    {
        long epoch = now.SinceStart.Ticks / Epoch.Ticks;
        if (epoch == _epoch)
        {
            return;
        }

        // After a pause both are new: a bit of the epoch must not bring an old one back.
        _previous = epoch == _epoch + 1 ? Current : new SipHash(random);
        Current = new SipHash(random);
        _epoch = epoch;
    }

    /// <summary>The connection that a cookie is good for.</summary>
    public static void WriteTuple(Span<byte> message, in FourTuple tuple)
    {
        BinaryPrimitives.WriteUInt32BigEndian(message, tuple.Local.Address.Value);
        BinaryPrimitives.WriteUInt32BigEndian(message[4..], tuple.Remote.Address.Value);
        BinaryPrimitives.WriteUInt16BigEndian(message[8..], tuple.Local.Port);
        BinaryPrimitives.WriteUInt16BigEndian(message[10..], tuple.Remote.Port);
    }
}
