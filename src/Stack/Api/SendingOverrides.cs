using Tcpcrypt.Tcp;

namespace Tcpcrypt;

/// <summary>How fast one connection sends, where it differs from the stack's settings: what connect and listen options have in common.</summary>
internal static class SendingOverrides
{
    /// <exception cref="ArgumentOutOfRangeException">A value is out of range.</exception>
    public static void Validate(CongestionControl? congestionControl, long? maxPacingRate)
    {
        Check("CongestionControl", congestionControl, congestionControl is not { } kind || Enum.IsDefined(kind), "is a known congestion control");
        Check("MaxPacingRate", maxPacingRate, maxPacingRate is null or > 0, "is at least 1 octet per second, or null for no bound");

        static void Check(string property, object? value, bool isGood, string rule)
        {
            if (!isGood)
            {
                throw new ArgumentOutOfRangeException(property, value, $"{property} {rule}.");
            }
        }
    }

    public static void Apply(TcpEndpointOptions options, CongestionControl? congestionControl, bool? pacing, long? maxPacingRate)
    {
        options.CongestionControl = congestionControl ?? options.CongestionControl;
        options.Pacing = pacing ?? options.Pacing;
        options.MaxPacingRate = maxPacingRate;
    }
}
