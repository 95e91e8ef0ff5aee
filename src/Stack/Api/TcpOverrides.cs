using Tcpcrypt.Tcp;

namespace Tcpcrypt;

/// <summary>What one connect, listener or forwarder sets differently from its stack's <see cref="TcpStackOptions"/>.</summary>
internal static class TcpOverrides
{
    /// <exception cref="ArgumentOutOfRangeException">A value is out of range.</exception>
    public static void Validate(CongestionControl? congestionControl = null, long? maxPacingRate = null, int? maximumSegmentSize = null)
    {
        Check("CongestionControl", congestionControl, congestionControl is not { } kind || Enum.IsDefined(kind), "is a known congestion control");
        Check("MaxPacingRate", maxPacingRate, maxPacingRate is null or > 0, "is at least 1 octet per second, or null for no bound");
        Check("MaximumSegmentSize", maximumSegmentSize, maximumSegmentSize is null or (>= 88 and <= 65_495), "is 88 to 65,495 octets, or null for the MTU's");

        static void Check(string property, object? value, bool isGood, string rule)
        {
            if (!isGood)
            {
                throw new ArgumentOutOfRangeException(property, value, $"{property} {rule}.");
            }
        }
    }

    public static void Apply(TcpEndpointOptions options, CongestionControl? congestionControl, bool? pacing, long? maxPacingRate, int? maximumSegmentSize)
    {
        options.CongestionControl = congestionControl ?? options.CongestionControl;
        options.Pacing = pacing ?? options.Pacing;
        options.MaxPacingRate = maxPacingRate;
        options.MaximumSegmentSize = maximumSegmentSize;
    }
}
