using System.Runtime.Intrinsics;

namespace Tcpcrypt.Crypt;

/// <summary>Counter mode and single blocks by <see cref="AesNi"/>.</summary>
internal sealed unsafe class NativeAesKey : AesKey
{
    private readonly SecretMemory _schedule = new(AesNi.ScheduleLength);

    public NativeAesKey(ReadOnlySpan<byte> key)
    {
        AesNi.ExpandKey(key, Schedule);
    }

    private Vector128<byte>* Schedule => (Vector128<byte>*)_schedule.Pointer;

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

    public override void Dispose() => _schedule.Dispose();
}

/// <summary>AES-128-CMAC by <see cref="AesNi"/>.</summary>
internal sealed unsafe class NativeCmac : MacKey
{
    private readonly SecretMemory _keys = new(AesNi.ScheduleLength + (2 * AesNi.BlockLength));

    public NativeCmac(ReadOnlySpan<byte> key)
    {
        AesNi.ExpandKey(key, Schedule);
        AesNi.DeriveCmacKeys(Schedule, Schedule + 11);
    }

    private Vector128<byte>* Schedule => (Vector128<byte>*)_keys.Pointer;

    public override void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> tag)
    {
        fixed (byte* from = first, then = second)
        {
            AesNi.Cmac(Schedule, Schedule + 11, from, first.Length, then, second.Length).CopyTo(tag);
        }

        GC.KeepAlive(this);
    }

    public override void Dispose() => _keys.Dispose();
}
