using Tcpcrypt.Scripts.Language;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>Compares what the stack sent with what the script expects.</summary>
/// <param name="timestampTickNs">When above 0: the stack's timestamps must advance by one per so many nanoseconds, as the script's do (--tcp_ts_tick_usecs).</param>
/// <param name="toleranceNs">By how much they may be off.</param>
/// <param name="strictOptions">Options must come in the script's order, padding included. Otherwise padding and order do not matter, as they do not to a peer.</param>
internal sealed class PacketMatcher(bool strictOptions, long timestampTickNs, long toleranceNs)
{
    /// <summary>What differs; empty when the packet is the expected one.</summary>
    /// <param name="isJoined">Several segments stand for one of the script's: PSH is not compared, which Linux sets on every super-segment.</param>
    public List<string> Compare(PacketSpec spec, LivePacket packet, Connection connection, bool isJoined = false)
    {
        List<string> differences = [];
        if (packet.Defect is not null)
        {
            differences.Add(packet.Defect);
        }

        CompareIp(spec.Ip, packet, differences);
        switch (spec)
        {
            case TcpSpec tcp when packet.Protocol == IpProtocol.Tcp:
                CompareTcp(isJoined ? tcp with { Flags = (tcp.Flags & ~ScriptFlags.P) | (packet.Flags & ScriptFlags.P) } : tcp, packet, connection, differences);
                break;
            case UdpSpec udp when packet.Protocol == IpProtocol.Udp:
                Check(differences, "payload length", udp.Length, packet.Payload.Length);
                break;
            case IcmpSpec icmp when packet.Protocol == IpProtocol.Icmp:
                Check(differences, "ICMP type", icmp.Type, packet.IcmpType);
                if (icmp.Code is { } code)
                {
                    Check(differences, "ICMP code", code, packet.IcmpCode);
                }

                break;
            default:
                differences.Add("protocol");
                break;
        }

        if (spec.Ports is { } ports && packet.Protocol != IpProtocol.Icmp)
        {
            Check(differences, "source port", ports.Source, packet.SourcePort);
            Check(differences, "destination port", ports.Destination, packet.DestinationPort);
        }

        return differences;
    }

    private static void CompareIp(IpSpec spec, LivePacket packet, List<string> differences)
    {
        EcnSpec ecn = (EcnSpec)(packet.TypeOfService & 3);
        if (spec.Ecn is { } expected && !(expected == EcnSpec.AnyEct ? ecn is EcnSpec.Ect0 or EcnSpec.Ect1 : ecn == expected))
        {
            differences.Add($"ECN (expected {expected}, actual {ecn})");
        }

        if (spec.TypeOfService is { } tos)
        {
            Check(differences, "type of service", tos, packet.TypeOfService);
        }

        if (spec.TimeToLive is { } ttl)
        {
            Check(differences, "time to live", ttl, packet.TimeToLive);
        }
    }

    private void CompareTcp(TcpSpec spec, LivePacket packet, Connection connection, List<string> differences)
    {
        if (spec.Flags != packet.Flags)
        {
            differences.Add($"flags (expected {LivePacket.Describe(spec.Flags)}, actual {LivePacket.Describe(packet.Flags)})");
        }

        if (!spec.IsAnySequence)
        {
            Check(differences, "sequence number", spec.Sequence, connection.ToScript(packet.Sequence));
        }

        Check(differences, "payload length", spec.Length, packet.Payload.Length);
        if (spec.Flags.HasFlag(ScriptFlags.Ack) && spec.Ack is { } ack)
        {
            Check(differences, "acknowledgment number", ack, packet.Ack);
        }

        if (spec.Window is { } window)
        {
            Check(differences, "window", window, packet.Window);
        }

        if (spec.Urgent is { } urgent)
        {
            Check(differences, "urgent pointer", urgent, packet.UrgentPointer);
        }

        // All octets that the stack sends come from the runner's writes, which follow the pattern.
        uint offset = connection.ToScript(packet.Sequence) - connection.LocalIsn - 1;
        if (packet.Payload.Length > 0 && !packet.Flags.HasFlag(ScriptFlags.S) && Pattern.FindDifference(packet.Payload, offset) is >= 0 and int wrong)
        {
            differences.Add($"payload (octet {wrong} is not what was written there)");
        }

        if (spec.Options is { } options)
        {
            CompareOptions(options, packet, connection, differences);
        }
    }

    private void CompareOptions(IReadOnlyList<OptionSpec> specs, LivePacket packet, Connection connection, List<string> differences)
    {
        IEnumerable<OptionSpec> expected = strictOptions ? specs : specs.Where(IsSignificant).OrderBy(Order);
        IEnumerable<OptionSpec> actual = strictOptions ? packet.Options : packet.Options.Where(IsSignificant).OrderBy(Order);
        List<(OptionSpec? Expected, OptionSpec? Actual)> pairs = [.. Zip([.. expected], [.. actual])];
        foreach ((OptionSpec? want, OptionSpec? have) in pairs)
        {
            if (want is null || have is null || !AreEqual(want, have, connection))
            {
                differences.Add($"options (expected {Text(want)}, actual {Text(have)})");
            }
        }
    }

    private static IEnumerable<(OptionSpec?, OptionSpec?)> Zip(OptionSpec[] left, OptionSpec[] right)
    {
        for (int i = 0; i < Math.Max(left.Length, right.Length); i++)
        {
            yield return (i < left.Length ? left[i] : null, i < right.Length ? right[i] : null);
        }
    }

    private bool AreEqual(OptionSpec expected, OptionSpec actual, Connection connection)
    {
        if (expected is not TimestampOption want || actual is not TimestampOption have)
        {
            return expected.Equals(actual);
        }

        // The stack's clock starts anywhere: a script's number stands for the live one first seen in its place. What it echoes is the peer's own number.
        return (want.Value is not { } value || (IsClockRight(value, have.Value!.Value, connection) && connection.TryMapTimestamp(value, have.Value!.Value))) && (want.Echo is not { } echo || echo == have.Echo);
    }

    private bool IsClockRight(uint script, uint live, Connection connection) =>
        timestampTickNs == 0 || Math.Abs(connection.TimestampDeviation(script, live)) * timestampTickNs <= toleranceNs;

    private static bool IsSignificant(OptionSpec option) => option is not (NopOption or EolOption);

    private static string Order(OptionSpec option) => option is OtherOption other ? $"z{other.Kind:000}{other.ContentHex}" : option.GetType().Name;

    private static string Text(OptionSpec? option) => option is null ? "none" : LivePacket.Describe(option, v => v.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static void Check(List<string> differences, string what, long expected, long actual)
    {
        if (expected != actual)
        {
            differences.Add($"{what} (expected {expected}, actual {actual})");
        }
    }
}
