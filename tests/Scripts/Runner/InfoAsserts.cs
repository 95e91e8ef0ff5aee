using System.Globalization;
using System.Net.NetworkInformation;
using System.Text.RegularExpressions;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>The %{ assert tcpi_… }% blocks: comparisons of TCP_INFO fields, numbers and Linux's constants, joined by "and". Any other Python is skipped with a note.</summary>
internal static partial class InfoAsserts
{
    private static readonly Dictionary<string, long> s_constants = new()
    {
        ["TCP_CA_Open"] = 0,
        ["TCP_CA_Disorder"] = 1,
        ["TCP_CA_CWR"] = 2,
        ["TCP_CA_Recovery"] = 3,
        ["TCP_CA_Loss"] = 4,
        ["TCPI_OPT_TIMESTAMPS"] = 1,
        ["TCPI_OPT_SACK"] = 2,
        ["TCPI_OPT_WSCALE"] = 4,
        ["TCPI_OPT_ECN"] = 8,
        ["TCPI_OPT_SYN_DATA"] = 32,
        ["TCP_INFINITE_SSTHRESH"] = int.MaxValue,
        ["TCP_ESTABLISHED"] = 1,
        ["TCP_SYN_SENT"] = 2,
        ["TCP_SYN_RECV"] = 3,
        ["TCP_FIN_WAIT1"] = 4,
        ["TCP_FIN_WAIT2"] = 5,
        ["TCP_TIME_WAIT"] = 6,
        ["TCP_CLOSE"] = 7,
        ["TCP_CLOSE_WAIT"] = 8,
        ["TCP_LAST_ACK"] = 9,
        ["TCP_LISTEN"] = 10,
        ["TCP_CLOSING"] = 11,
    };

    /// <summary>Runs the asserts, and assignments of numbers to names.</summary>
    /// <returns>What does not hold, or null.</returns>
    public static string? Run(string code, TcpInfo info, Dictionary<string, long> variables, ICollection<string> notes)
    {
        foreach (string statement in Comment().Replace(code.Replace("\\\n", " ", StringComparison.Ordinal), "").Split(['\n', ';'], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (Assignment().Match(statement) is { Success: true } assignment && Number(assignment.Groups["value"].Value) is { } number)
            {
                string name = assignment.Groups["name"].Value;
                variables[name] = assignment.Groups["add"].Success ? variables.GetValueOrDefault(name) + number : number;
                continue;
            }

            if (Assertion().Match(statement) is not { Success: true } assertion)
            {
                notes.Add($"code ignored: {statement}");
                continue;
            }

            foreach (string part in assertion.Groups["test"].Value.Split(" and ", StringSplitOptions.TrimEntries))
            {
                switch (Holds(part, info, variables, out string actual))
                {
                    case null:
                        notes.Add($"code ignored: {part}");
                        break;
                    case false:
                        return $"{part}, but {actual}";
                    default:
                        break;
                }
            }
        }

        return null;
    }

    /// <summary>A comparison of two or more values, as Python chains them: 5 &lt;= tcpi_rtt &lt; 7. Null when it is of another form or has a name that is not known here.</summary>
    private static bool? Holds(string part, TcpInfo info, Dictionary<string, long> variables, out string actual)
    {
        actual = "";
        string[] pieces = Operator().Split(part.Trim('(', ')', ' '));
        if (pieces.Length < 3 || Value(pieces[0], info, variables, ref actual) is not { } left)
        {
            return null;
        }

        bool holds = true;
        for (int i = 1; i < pieces.Length; i += 2)
        {
            if (Value(pieces[i + 1], info, variables, ref actual) is not { } right)
            {
                return null;
            }

            holds &= pieces[i] switch
            {
                "==" => left == right,
                "!=" => left != right,
                "<" => left < right,
                "<=" => left <= right,
                ">" => left > right,
                _ => left >= right,
            };
            left = right;
        }

        return holds;
    }

    /// <summary>A number, a constant, a field, or one of these under a mask.</summary>
    private static long? Value(string text, TcpInfo info, Dictionary<string, long> variables, ref string actual)
    {
        long? value = null;
        foreach (string term in text.Split('&'))
        {
            string name = term.Trim('(', ')', ' ');
            long? one = variables.TryGetValue(name, out long variable) ? variable
                : s_constants.TryGetValue(name, out long constant) ? constant
                : Number(name) ?? Field(name, info);
            if (one is null)
            {
                return null;
            }

            if (name.StartsWith("tcpi_", StringComparison.Ordinal))
            {
                actual += $"{(actual.Length > 0 ? ", " : "")}{name} is {one}";
            }

            value = value is { } other ? other & one : one;
        }

        return value;
    }

    private static long? Number(string text) =>
        text.StartsWith("0x", StringComparison.Ordinal) && long.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out long hexadecimal) ? hexadecimal
        : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number
        : null;

    [GeneratedRegex(@"^(?<name>\w+)\s*(?<add>\+)?=\s*(?<value>-?\w+)$")]
    private static partial Regex Assignment();

    [GeneratedRegex("#[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"^assert\s*\(?(?<test>[^,]*?)\)?\s*(,.*)?$")]
    private static partial Regex Assertion();

    [GeneratedRegex("(==|!=|<=|>=|<|>)")]
    private static partial Regex Operator();

    /// <summary>A field in Linux's unit: segments for windows, microseconds for times.</summary>
    private static long? Field(string name, TcpInfo info)
    {
        long mss = Math.Max(info.SendMss, 1);
        return name switch
        {
            "tcpi_snd_cwnd" => info.CongestionWindow / mss,
            "tcpi_snd_ssthresh" => Math.Min(info.SlowStartThreshold / mss, int.MaxValue),
            "tcpi_unacked" => (info.Unacknowledged + mss - 1) / mss,
            "tcpi_rto" => (long)info.RetransmissionTimeout.TotalMicroseconds,
            "tcpi_rtt" => (long)info.SmoothedRtt.TotalMicroseconds,
            "tcpi_rttvar" => (long)info.RttVariation.TotalMicroseconds,
            "tcpi_min_rtt" => (long)info.MinRtt.TotalMicroseconds,
            "tcpi_snd_mss" => info.SendMss,
            "tcpi_advmss" => info.AdvertisedMss,
            "tcpi_pmtu" => info.PathMtu,
            "tcpi_state" => State(info.State),
            "tcpi_rcv_mss" => info.ReceiveMss,
            "tcpi_rcv_wscale" => info.ReceiveWindowScale,
            "tcpi_reordering" => info.Reordering,
            "tcpi_reord_seen" => info.ReorderingsSeen,
            "tcpi_retrans" => (info.Repeated + mss - 1) / mss,
            "tcpi_probes" => info.Probes,
            "tcpi_dsack_dups" => info.DuplicateSacks,
            "tcpi_rcv_ooopack" => info.OutOfOrderSegments,
            "tcpi_last_data_sent" => (long)info.SinceDataSent.TotalMilliseconds,
            "tcpi_last_data_recv" => (long)info.SinceDataReceived.TotalMilliseconds,
            "tcpi_last_ack_recv" => (long)info.SinceAckReceived.TotalMilliseconds,
            "tcpi_busy_time" => (long)info.BusyTime.TotalMicroseconds,
            "tcpi_rwnd_limited" => (long)info.WindowLimitedTime.TotalMicroseconds,
            "tcpi_backoff" or "tcpi_retransmits" => info.Backoff,
            "tcpi_total_retrans" => info.Retransmissions,
            "tcpi_bytes_acked" => info.BytesAcknowledged,
            "tcpi_bytes_received" => info.BytesReceived,
            "tcpi_bytes_sent" => info.BytesSent + info.BytesRetransmitted,
            "tcpi_bytes_retrans" => info.BytesRetransmitted,
            "tcpi_notsent_bytes" => info.Unsent,
            "tcpi_snd_wnd" => info.PeerWindow,
            "tcpi_rcv_wnd" => info.ReceiveWindow,
            "tcpi_snd_wscale" => info.PeerWindowScale,
            "tcpi_segs_out" => info.SegmentsSent,
            "tcpi_segs_in" => info.SegmentsReceived,
            "tcpi_ca_state" => info.RecoveryState switch { "open" => 0, "disorder" => 1, "cwr" => 2, "recovery" => 3, _ => 4 },
            "tcpi_sacked" => info.Sacked / mss,
            "tcpi_lost" => info.Lost / mss,
            "tcpi_options" => (info.Timestamps ? 1 : 0) | (info.SelectiveAcknowledgments ? 2 : 0) | (info.WindowScaling ? 4 : 0) | (info.ExplicitCongestionNotification ? 8 : 0),

            // Beyond Linux: exact octets.
            "tcpi_cwnd_octets" => info.CongestionWindow,
            "tcpi_ssthresh_octets" => info.SlowStartThreshold,
            "tcpi_unacked_octets" => info.Unacknowledged,
            _ => null,
        };
    }

    /// <summary>Linux's numbers of the states.</summary>
    private static long? State(TcpState state) => state switch
    {
        TcpState.Established => 1,
        TcpState.SynSent => 2,
        TcpState.SynReceived => 3,
        TcpState.FinWait1 => 4,
        TcpState.FinWait2 => 5,
        TcpState.TimeWait => 6,
        TcpState.Closed => 7,
        TcpState.CloseWait => 8,
        TcpState.LastAck => 9,
        TcpState.Listen => 10,
        TcpState.Closing => 11,
        _ => null,
    };
}
