using System.Runtime.Intrinsics;

namespace Tcpcrypt.Crypt;

/// <summary>Counter mode and single blocks by <see cref="AesNi"/>.</summary>
internal sealed unsafe class NativeAesKey : AesKey
{
    public const int KeptLength = AesNi.ScheduleLength;

    private readonly SecretMemory _memory;
    private readonly int _offset;

    public NativeAesKey(ReadOnlySpan<byte> key)
        : this(key, new SecretMemory(KeptLength), 0)
    {
    }

    /// <summary>Keeps the round keys in a part of somebody's memory.</summary>
    public NativeAesKey(ReadOnlySpan<byte> key, SecretMemory memory, int offset)
    {
        _memory = memory;
        _offset = offset;
        AesNi.ExpandKey(key, Schedule);
    }

    private Vector128<byte>* Schedule => (Vector128<byte>*)(_memory.Pointer + _offset);

    public override void EncryptBlock(ReadOnlySpan<byte> input, Span<byte> output)
    {
        AesNi.Encrypt(Schedule, Vector128.Create(input)).CopyTo(output);
        GC.KeepAlive(this);
    }

    public override void XorKeyStream(CounterLayout layout, ulong position, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, source.Length, nameof(destination));
        fixed (byte* from = source, to = destination)
        {
            AesNi.XorKeyStream(Schedule, layout, position, from, to, source.Length);
        }

        GC.KeepAlive(this);
    }

    public override void Dispose() => _memory.Dispose();
}

/// <summary>AES-128-CMAC by <see cref="AesNi"/>.</summary>
internal sealed unsafe class NativeCmac : MacKey
{
    public const int KeptLength = AesNi.ScheduleLength + (2 * AesNi.BlockLength);

    private readonly SecretMemory _memory;
    private readonly int _offset;

    public NativeCmac(ReadOnlySpan<byte> key)
        : this(key, new SecretMemory(KeptLength), 0)
    {
    }

    /// <summary>Keeps round keys and subkeys in a part of somebody's memory.</summary>
    public NativeCmac(ReadOnlySpan<byte> key, SecretMemory memory, int offset)
    {
        _memory = memory;
        _offset = offset;
        AesNi.ExpandKey(key, Schedule);
        AesNi.DeriveCmacKeys(Schedule, Schedule + 11);
    }

    private Vector128<byte>* Schedule => (Vector128<byte>*)(_memory.Pointer + _offset);

    public override void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> tag)
    {
        fixed (byte* from = first, then = second)
        {
            AesNi.Cmac(Schedule, Schedule + 11, from, first.Length, then, second.Length).CopyTo(tag);
        }

        GC.KeepAlive(this);
    }

    public override void Dispose() => _memory.Dispose();
}
