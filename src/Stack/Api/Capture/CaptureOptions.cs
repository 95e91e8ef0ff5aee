namespace Tcpcrypt;

/// <summary>Where packets are recorded. Flags.</summary>
[Flags]
public enum CapturePoints
{
    /// <summary>Nowhere.</summary>
    None = 0,

    /// <summary>Every packet that comes in or goes out.</summary>
    Wire = 1,

    /// <summary>Packets that the stack drops, with the reason as the packet's comment. Together with <see cref="Wire"/>, a received packet that is dropped appears once, commented.</summary>
    Dropped = 2,
}

/// <summary>Settings of <see cref="IpStack.StartCapture"/>.</summary>
public sealed class CaptureOptions
{
    /// <summary>Octets kept of each packet: 64 to 262,144, the latter at first, which is all of it.</summary>
    public int SnapLength { get; set; } = 262_144;

    /// <summary>The capture ends before it grows beyond this, in octets: at least 1024. No limit at first.</summary>
    public long MaxBytes { get; set; } = long.MaxValue;

    /// <summary>What is recorded; both at first.</summary>
    public CapturePoints Points { get; set; } = CapturePoints.Wire | CapturePoints.Dropped;

    /// <summary>True at first: TCP super-segments, which the device cuts or has put together, are recorded as the ordinary packets that they stand for. False: whole, up to 65,535 octets.</summary>
    public bool SplitSuperSegments { get; set; } = true;

    /// <summary>Octets of packets that may wait for the stream: 64 KiB to 1 GiB, 16 MiB at first, taken as needed. More are lost and counted.</summary>
    public int BufferSize { get; set; } = 16 * 1024 * 1024;

    internal CaptureOptions Validated()
    {
        CaptureOptions copy = (CaptureOptions)MemberwiseClone();
        ApiArgument.InRange(copy.SnapLength, 64, 262_144, nameof(SnapLength));
        ApiArgument.InRange(copy.MaxBytes, 1024, long.MaxValue, nameof(MaxBytes));
        ApiArgument.InRange(copy.BufferSize, 64 * 1024, 1024 * 1024 * 1024, nameof(BufferSize));
        if (copy.Points == CapturePoints.None || (copy.Points & ~(CapturePoints.Wire | CapturePoints.Dropped)) != 0)
        {
            throw new ArgumentOutOfRangeException(nameof(Points), copy.Points, $"{nameof(Points)} is Wire, Dropped or both.");
        }

        return copy;
    }
}
