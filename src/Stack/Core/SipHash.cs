using System.Buffers.Binary;
using System.Numerics;

namespace Tcpcrypt.Core;

/// <summary>SipHash-2-4 with a 128-bit key: the pseudo-random function behind ISNs (RFC 6528), ports (RFC 6056), timestamp offsets and the connection table.</summary>
internal readonly struct SipHash
{
    private readonly ulong _k0;
    private readonly ulong _k1;

    public SipHash(IRandomSource random)
        : this(random.NextUInt64(), random.NextUInt64())
    {
    }

    public SipHash(ulong k0, ulong k1)
    {
        _k0 = k0;
        _k1 = k1;
    }

    /// <summary>The hash of a 4-tuple.</summary>
    public ulong Compute(in FourTuple tuple) => Compute(
        ((ulong)tuple.Local.Address.Value << 32) | tuple.Remote.Address.Value,
        ((ulong)tuple.Local.Port << 16) | tuple.Remote.Port);

    /// <summary>The hash of two 64-bit words (a 16-octet message).</summary>
    public ulong Compute(ulong first, ulong second)
    {
        State state = new(_k0, _k1);
        state.Absorb(first);
        state.Absorb(second);
        return state.Finish(16UL << 56);
    }

    public ulong Compute(ReadOnlySpan<byte> message)
    {
        State state = new(_k0, _k1);
        ulong last = (ulong)message.Length << 56;
        while (message.Length >= 8)
        {
            state.Absorb(BinaryPrimitives.ReadUInt64LittleEndian(message));
            message = message[8..];
        }

        for (int i = 0; i < message.Length; i++)
        {
            last |= (ulong)message[i] << (8 * i);
        }

        return state.Finish(last);
    }

    private struct State
    {
        private ulong _v0;
        private ulong _v1;
        private ulong _v2;
        private ulong _v3;

        public State(ulong k0, ulong k1)
        {
            _v0 = k0 ^ 0x736f6d6570736575UL;
            _v1 = k1 ^ 0x646f72616e646f6dUL;
            _v2 = k0 ^ 0x6c7967656e657261UL;
            _v3 = k1 ^ 0x7465646279746573UL;
        }

        public void Absorb(ulong word)
        {
            _v3 ^= word;
            Round();
            Round();
            _v0 ^= word;
        }

        public ulong Finish(ulong last)
        {
            Absorb(last);
            _v2 ^= 0xff;
            Round();
            Round();
            Round();
            Round();
            return _v0 ^ _v1 ^ _v2 ^ _v3;
        }

        private void Round()
        {
            _v0 += _v1;
            _v1 = BitOperations.RotateLeft(_v1, 13) ^ _v0;
            _v0 = BitOperations.RotateLeft(_v0, 32);
            _v2 += _v3;
            _v3 = BitOperations.RotateLeft(_v3, 16) ^ _v2;
            _v0 += _v3;
            _v3 = BitOperations.RotateLeft(_v3, 21) ^ _v0;
            _v2 += _v1;
            _v1 = BitOperations.RotateLeft(_v1, 17) ^ _v2;
            _v2 = BitOperations.RotateLeft(_v2, 32);
        }
    }
}
