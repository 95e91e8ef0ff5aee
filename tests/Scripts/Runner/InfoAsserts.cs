using System.Globalization;
using System.Text.RegularExpressions;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>The %{ assert tcpi_… }% blocks: comparisons of TCP_INFO fields with numbers, joined by "and". Any other Python is skipped with a note.</summary>
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
    };

    /// <summary>Runs the asserts.</summary>
    /// <returns>What does not hold, or null.</returns>
    public static string? Run(string code, TcpInfo info, ICollection<string> notes)
    {
        foreach (string statement in Comment().Replace(code, "").Split(['\n', ';'], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (Assertion().Match(statement) is not { Success: true } assertion)
            {
                notes.Add($"code ignored: {statement}");
                continue;
            }

            foreach (string part in assertion.Groups["test"].Value.Split(" and ", StringSplitOptions.TrimEntries))
            {
                if (Comparison().Match(part) is not { Success: true } comparison || Field(comparison.Groups["field"].Value, info) is not { } field)
                {
                    notes.Add($"code ignored: {part}");
                    continue;
                }

                long actual = field;
                string number = comparison.Groups["number"].Value;
                if (!s_constants.TryGetValue(number, out long expected) && !long.TryParse(number, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out expected))
                {
                    notes.Add($"code ignored: {part}");
                    continue;
                }

                if (comparison.Groups["mask"].Value is { Length: > 0 } mask)
                {
                    actual &= s_constants.TryGetValue(mask, out long bits) ? bits : long.Parse(mask, CultureInfo.InvariantCulture);
                }

                bool holds = comparison.Groups["operator"].Value switch
                {
                    "==" => actual == expected,
                    "!=" => actual != expected,
                    "<" => actual < expected,
                    "<=" => actual <= expected,
                    ">" => actual > expected,
                    _ => actual >= expected,
                };
                if (!holds)
                {
                    return $"{part}, but {comparison.Groups["field"].Value} is {actual}";
                }
            }
        }

        return null;
    }

    [GeneratedRegex("#[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"^assert\s*\(?(?<test>[^,]*?)\)?\s*(,.*)?$")]
    private static partial Regex Assertion();

    [GeneratedRegex(@"^\(?\s*(?<field>tcpi_\w+)\s*(?:&\s*(?<mask>\w+)\s*\))?\s*(?<operator>==|!=|<=|>=|<|>)\s*(?<number>-?\w+)\s*\)?$")]
    private static partial Regex Comparison();

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
}
