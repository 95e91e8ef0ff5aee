using System.Globalization;
using System.Text.RegularExpressions;
using Tcpcrypt.Scripts.Language;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>Builds the stack that a script asks for: "// Stack:" comments, and those sysctls of the initial command that mean something here.</summary>
internal static partial class StackSettings
{
    public static SteppedStackOptions Build(Script script, string localAddress, ICollection<string> notes)
    {
        // 1000 s: a clock that is not at zero, as on a machine that has been up for a while.
        SteppedStackOptions options = new() { StartNs = 1_000_000_000_000, ReceiveWindow = 65_535 };
        options.Tcp.QuickAck = false;
        options.Addresses.Add(IPPrefixAddress.Parse(localAddress + "/16"));
        if (script.Options.TryGetValue("mtu", out string? mtu))
        {
            options.Mtu = int.Parse(mtu, CultureInfo.InvariantCulture);
        }

        if (script.InitCommand is { } command)
        {
            ApplyCommand(command, options, notes);
        }

        if (script.Specs.Count == 0 && FirstShift(script) is > 0 and { } shift)
        {
            // Another one's script: the window scale shows how large the largest buffer was where it was written.
            options.ReceiveWindow = ushort.MaxValue << shift;
        }

        foreach ((string key, string value) in script.StackSettings)
        {
            Apply(key, value, options);
        }

        return options;
    }

    /// <summary>Those settings that are options of each socket here.</summary>
    public static IEnumerable<(SteppedSocketOption Option, long Value)> SocketDefaults(string command)
    {
        foreach (Match match in Sysctl().Matches(command))
        {
            SteppedSocketOption? option = match.Groups["name"].Value.Replace('/', '.') switch
            {
                "net.ipv4.tcp_notsent_lowat" => SteppedSocketOption.NotSentLowWater,
                "net.ipv4.tcp_keepalive_time" => SteppedSocketOption.KeepAliveIdle,
                "net.ipv4.tcp_keepalive_intvl" => SteppedSocketOption.KeepAliveInterval,
                "net.ipv4.tcp_keepalive_probes" => SteppedSocketOption.KeepAliveCount,
                "net.ipv4.ip_default_ttl" => SteppedSocketOption.TimeToLive,
                _ => null,
            };
            if (option is { } known)
            {
                yield return (known, long.Parse(match.Groups["value"].Value.Trim('"', '\'', ' '), CultureInfo.InvariantCulture));
            }
        }
    }

    /// <summary>The window scale of the first SYN that the script expects.</summary>
    private static byte? FirstShift(Script script) => script.Events.OfType<PacketEvent>()
        .Where(e => !e.IsInbound).Select(e => e.Packet).OfType<TcpSpec>().Where(p => p.Flags.HasFlag(ScriptFlags.S) && p.Options is not null)
        .SelectMany(p => p.Options!.OfType<WindowScaleOption>()).FirstOrDefault()?.Shift;

    /// <summary>What the scripts of Linux and of packetdrill itself call first: defaults.sh, which sets what their authors take for a good configuration.</summary>
    private static void ApplyLinuxDefaults(SteppedStackOptions options)
    {
        options.Tcp.QuickAck = true;
        options.Tcp.WindowDecay = false;
        options.Tcp.ExplicitCongestionNotification = false;
        ApplySysctl("net.ipv4.tcp_syn_retries", "5", options);
    }

    /// <summary>sysctl -w name=value, echo value > /proc/sys/…, ip route … initcwnd n, ip link … mtu n; the rest is for another kernel.</summary>
    public static void ApplyCommand(string command, SteppedStackOptions options, ICollection<string> notes)
    {
        foreach (string line in command.Split(['\n', ';'], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            bool isKnown = line.Contains("defaults.sh", StringComparison.Ordinal);
            if (isKnown)
            {
                ApplyLinuxDefaults(options);
            }

            foreach (Match match in Sysctl().Matches(line))
            {
                isKnown |= ApplySysctl(match.Groups["name"].Value.Replace('/', '.'), match.Groups["value"].Value.Trim('"', '\'', ' '), options);
            }

            if (Echo().Match(line) is { Success: true } echo)
            {
                isKnown |= ApplySysctl(echo.Groups["name"].Value.Replace('/', '.'), echo.Groups["value"].Value.Trim('"', '\'', ' '), options);
            }

            foreach (Match route in line.TrimStart().StartsWith("ip ", StringComparison.Ordinal) ? RouteSetting().Matches(line) : Enumerable.Empty<Match>())
            {
                isKnown = true;
                int value = int.Parse(route.Groups["value"].Value, CultureInfo.InvariantCulture);
                if (route.Groups["name"].Value == "mtu")
                {
                    options.Mtu = value;
                }
                else
                {
                    options.Tcp.InitialWindowSegments = value;
                }
            }

            if (!isKnown)
            {
                notes.Add($"command ignored: {line}");
            }
        }
    }

    [GeneratedRegex("""(?<name>net[./]ipv4[./]\w+)\s*=\s*(?<value>"[^"]*"|'[^']*'|\S+)""")]
    private static partial Regex Sysctl();

    [GeneratedRegex("""echo\s+(?<value>"[^"]*"|'[^']*'|[^>]*)>\s*/proc/sys/(?<name>net/ipv4/\w+)""")]
    private static partial Regex Echo();

    [GeneratedRegex(@"\b(?<name>initcwnd|mtu)\s+(?:lock\s+)?(?<value>\d+)")]
    private static partial Regex RouteSetting();

    private static bool ApplySysctl(string name, string value, SteppedStackOptions options)
    {
        TcpStackOptions tcp = options.Tcp;
        switch (name["net.ipv4.".Length..])
        {
            case "tcp_timestamps":
                tcp.Timestamps = value != "0";
                break;
            case "tcp_window_scaling":
                tcp.WindowScaling = value != "0";
                break;
            case "tcp_sack":
                tcp.SelectiveAcknowledgments = value != "0";
                break;
            case "tcp_ecn":
                tcp.ExplicitCongestionNotification = value == "2" ? null : value != "0";
                break;
            case "tcp_rmem":
                options.ReceiveWindow = Middle(value);
                break;
            case "tcp_wmem":
                tcp.SendBufferSize = Middle(value);
                break;
            case "tcp_retries1":
                tcp.R1Retransmissions = Number(value);
                break;
            case "tcp_retries2":
                tcp.R2Retransmissions = Number(value);
                break;
            case "tcp_orphan_retries":
                tcp.OrphanRetransmissions = Number(value);
                break;
            case "tcp_syncookies":
                tcp.SynCookies = value != "0";
                break;
            case "tcp_synack_retries":
                tcp.SynAckRetransmissions = Number(value);
                break;
            case "tcp_syn_retries":
                // 1 + 2 + 4 + … seconds, the wait behind the last one included.
                tcp.SynTimeout = TimeSpan.FromSeconds((1 << (Number(value) + 1)) - 1);
                break;
            case "tcp_fin_timeout":
                tcp.FinWait2Timeout = TimeSpan.FromSeconds(Number(value));
                break;
            case "tcp_challenge_ack_limit":
                tcp.ChallengeAcksPerSecond = Number(value);
                break;
            case "tcp_congestion_control":
                tcp.CongestionControl = value is "reno" or "newreno" ? CongestionControl.NewReno : CongestionControl.Cubic;
                return value is "reno" or "newreno" or "cubic";
            case "tcp_early_retrans":
                tcp.TailLossProbe = value != "0";
                break;
            case "tcp_slow_start_after_idle":
                tcp.WindowDecay = value != "0";
                break;
            case "tcp_mtu_probing":
                tcp.PathMtuProbing = (PathMtuProbing)Number(value);
                break;
            case "tcp_base_mss":
                tcp.PathMtuProbeBase = Number(value);
                break;
            case "tcp_rto_max_ms":
                tcp.MaxRto = TimeSpan.FromMilliseconds(Number(value));
                break;
            case "tcp_rto_min_us":
                tcp.MinRto = TimeSpan.FromMicroseconds(Number(value));
                break;
            case "tcp_notsent_lowat" or "tcp_keepalive_time" or "tcp_keepalive_intvl" or "tcp_keepalive_probes" or "ip_default_ttl":
                // See SocketDefaults.
                break;
            default:
                return false;
        }

        return true;
    }

    private static void Apply(string key, string value, SteppedStackOptions options)
    {
        TcpStackOptions tcp = options.Tcp;
        switch (key.ToLowerInvariant())
        {
            case "mtu":
                options.Mtu = Number(value);
                break;
            case "seed":
                options.Seed = ulong.Parse(value, CultureInfo.InvariantCulture);
                break;
            case "start":
                options.StartNs = Time(value).Ticks * 100;
                break;
            case "receivewindow":
                options.ReceiveWindow = Number(value);
                break;
            case "sendbuffer":
                tcp.SendBufferSize = Number(value);
                break;
            case "delayedack":
                options.DelayedAck = Time(value);
                break;
            case "quickack":
                tcp.QuickAck = Switch(value);
                break;
            case "initialwindow":
                tcp.InitialWindowSegments = Number(value);
                break;
            case "timestamps":
                tcp.Timestamps = Switch(value);
                break;
            case "windowscaling":
                tcp.WindowScaling = Switch(value);
                break;
            case "sack":
                tcp.SelectiveAcknowledgments = Switch(value);
                break;
            case "ecn":
                tcp.ExplicitCongestionNotification = value == "accept" ? null : Switch(value);
                break;
            case "initialrto":
                tcp.InitialRto = Time(value);
                break;
            case "minrto":
                tcp.MinRto = Time(value);
                break;
            case "maxrto":
                tcp.MaxRto = Time(value);
                break;
            case "r1":
                tcp.R1Retransmissions = Number(value);
                break;
            case "r2":
                tcp.R2Retransmissions = Number(value);
                break;
            case "syntimeout":
                tcp.SynTimeout = Time(value);
                break;
            case "synackretransmissions":
                tcp.SynAckRetransmissions = Number(value);
                break;
            case "timewait":
                tcp.TimeWait = Time(value);
                break;
            case "finwait2":
                tcp.FinWait2Timeout = Time(value);
                break;
            case "syncache":
                tcp.SynCacheSize = Number(value);
                break;
            case "challengeacks":
                tcp.ChallengeAcksPerSecond = Number(value);
                break;
            case "windowdecay":
                tcp.WindowDecay = Switch(value);
                break;
            case "taillossprobe":
                tcp.TailLossProbe = Switch(value);
                break;
            case "pathmtuprobing":
                tcp.PathMtuProbing = Enum.Parse<PathMtuProbing>(value, ignoreCase: true);
                break;
            case "address":
                options.Addresses.Add(IPPrefixAddress.Parse(value));
                break;
            default:
                throw new FormatException($"Stack setting \"{key}\" is not known.");
        }
    }

    private static int Middle(string value)
    {
        string[] parts = value.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        return Number(parts[parts.Length / 2]);
    }

    private static int Number(string value) => int.Parse(value, CultureInfo.InvariantCulture);

    private static bool Switch(string value) => value switch
    {
        "on" or "1" => true,
        "off" or "0" => false,
        _ => throw new FormatException($"\"{value}\" is neither on nor off."),
    };

    private static TimeSpan Time(string value) =>
        value.EndsWith("ms", StringComparison.Ordinal) ? TimeSpan.FromMilliseconds(double.Parse(value.AsSpan(0, value.Length - 2), CultureInfo.InvariantCulture))
        : value.EndsWith('s') ? TimeSpan.FromSeconds(double.Parse(value.AsSpan(0, value.Length - 1), CultureInfo.InvariantCulture))
        : value == "0" ? TimeSpan.Zero
        : throw new FormatException($"\"{value}\" is no time: write 40ms or 1s.");
}
