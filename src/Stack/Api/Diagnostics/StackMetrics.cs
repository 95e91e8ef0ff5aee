using System.Diagnostics.Metrics;
using System.Net.NetworkInformation;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Tcp;

namespace Tcpcrypt;

/// <summary>The instruments of the meter "Tcpcrypt.Stack". Counters are observed when somebody collects them: a packet costs nothing for it.</summary>
/// <remarks>Names and units follow OpenTelemetry; no attribute is an address or a port.</remarks>
internal sealed class StackMetrics
{
    public const string MeterName = "Tcpcrypt.Stack";

    private static readonly KeyValuePair<string, object?> s_receive = new("network.io.direction", "receive");
    private static readonly KeyValuePair<string, object?> s_transmit = new("network.io.direction", "transmit");
    private static readonly KeyValuePair<string, object?> s_plain = new("encrypted", false);
    private static readonly KeyValuePair<string, object?> s_encrypted = new("encrypted", true);
    private static readonly KeyValuePair<string, object?> s_isEncrypted = new("outcome", "encrypted");
    private static readonly KeyValuePair<string, object?> s_isPlain = new("outcome", "plain");
    private static readonly KeyValuePair<string, object?> s_hasFailed = new("outcome", "failed");

    /// <summary>What was spoken, by the index of <see cref="StackCounters.CryptIndex"/>: protocol, key exchange, resumed.</summary>
    private static readonly KeyValuePair<string, object?>[][] s_spoken = Spoken();

    private static readonly KeyValuePair<string, object?>[] s_reasons = [.. Enum.GetValues<TcpcryptOutcome>().Select(static outcome => new KeyValuePair<string, object?>("reason", ReasonOf(outcome)))];

    private readonly StackHost _host;
    private readonly StackCounters _counters;
    private readonly ForwardCounters _forward;
    private readonly KeyValuePair<string, object?> _interface;
    private readonly Histogram<double> _duration;
    private readonly Histogram<double> _rtt;
    private readonly Histogram<double> _handshake;
    private readonly Lock _censusLock = new();
    private long _censusTime = long.MinValue;
    private Measurement<long>[] _census = [];
    private long _otherRetransmits;
    private volatile bool _isStopped;

    public StackMetrics(StackHost host, ForwardCounters forward, IMeterFactory factory, string interfaceName)
    {
        _host = host;
        _counters = host.Core.Counters;
        _forward = forward;
        _interface = new("network.interface.name", interfaceName);

        // A factory disposes of its meters itself, and gives the same one to several stacks: the interface's name tells them apart.
        Meter meter = factory.Create(MeterName);

        meter.CreateObservableCounter("tcpcrypt.packets", () => Directions(_counters.IpInReceives, _counters.IpOutRequests), "{packet}", "IP packets received and sent.");
        meter.CreateObservableCounter("tcpcrypt.io", () => Directions(_counters.IpInOctets, _counters.IpOutOctets), "By", "Octets of IP packets received and sent.");
        meter.CreateObservableCounter("tcpcrypt.packets.dropped", ReadDrops, "{packet}", "Packets dropped, by reason.");
        meter.CreateObservableUpDownCounter("tcpcrypt.tcp.connections", ReadConnections, "{connection}", "TCP connections, by state.");
        meter.CreateObservableCounter("tcpcrypt.tcp.retransmits", ReadRetransmits, "{segment}", "TCP segments sent again, by kind.");
        meter.CreateObservableCounter("tcpcrypt.tcp.resets", () => Directions(_counters[DropReason.TcpReset], _counters.TcpOutRsts), "{segment}", "RST segments accepted and sent.");
        meter.CreateObservableCounter("tcpcrypt.tcp.accept_queue.overflows", () => One(_counters.TcpAcceptQueueOverflows), "{connection}", "Handshakes not finished because the accept queue was full.");
        meter.CreateObservableCounter("tcpcrypt.handshakes", ReadHandshakes, "{handshake}", "Attempts to encrypt a connection, by outcome.");
        meter.CreateObservableCounter("tcpcrypt.auth_failures", () => One(_counters[DropReason.CryptNoMac] + _counters[DropReason.CryptBadMac]), "{segment}", "Segments of encrypted connections without a valid MAC.");
        meter.CreateObservableUpDownCounter("tcpcrypt.forward.in_flight", () => One(_forward.TcpInFlight), "{request}", "Forwarded connection requests that wait for an answer.");
        meter.CreateObservableCounter("tcpcrypt.forward.rejected", ReadRejected, "{request}", "Forwarded connection requests refused, by reason.");
        _handshake = meter.CreateHistogram<double>("tcpcrypt.handshake.duration", "s", "How long connections that became encrypted took for it after TCP's own handshake.");
        _duration = meter.CreateHistogram<double>("tcpcrypt.tcp.connection.duration", "s", "How long TCP connections existed.");
        _rtt = meter.CreateHistogram<double>("tcpcrypt.tcp.rtt", "s", "The smoothed round-trip time at a TCP connection's end.");
    }

    /// <summary>The application gets a connection. One call per connection.</summary>
    public void ConnectionOpened(TcpConnection connection)
    {
        if (_handshake.Enabled && connection.Tcpcrypt is { IsEncrypted: true } status)
        {
            KeyValuePair<string, object?>[] spoken = s_spoken[StackCounters.CryptIndex(status.Dialect, status.KeyExchange, status.IsResumed)];
            _handshake.Record(connection.Endpoint.CryptDuration.TotalSeconds, _interface, spoken[0], spoken[1], spoken[2]);
        }
    }

    /// <summary>A connection has ended. One call per connection.</summary>
    /// <param name="duration">The time from its handshake's end.</param>
    /// <param name="smoothedRtt">Zero when it was never measured.</param>
    /// <param name="error">Why it ended; null for an orderly close.</param>
    public void ConnectionClosed(TimeSpan duration, TimeSpan smoothedRtt, string? error)
    {
        if (_duration.Enabled)
        {
            if (error is null)
            {
                _duration.Record(duration.TotalSeconds, _interface);
            }
            else
            {
                _duration.Record(duration.TotalSeconds, _interface, new("error.type", error));
            }
        }

        if (_rtt.Enabled && smoothedRtt > TimeSpan.Zero)
        {
            _rtt.Record(smoothedRtt.TotalSeconds, _interface);
        }
    }

    /// <summary>The stack has stopped: what there is of it is not there any more. The meter lives on in its factory.</summary>
    public void Stop() => _isStopped = true;

    private Measurement<long>[] One(long value) => _isStopped ? [] : [new(value, _interface)];

    private Measurement<long>[] Directions(long received, long sent) => _isStopped ? [] : [new(received, _interface, s_receive), new(sent, _interface, s_transmit)];

    private IEnumerable<Measurement<long>> ReadDrops()
    {
        for (DropReason reason = DropReason.None + 1; !_isStopped && reason < DropReason.Count; reason++)
        {
            if (_counters[reason] is > 0 and long dropped)
            {
                yield return new(dropped, _interface, new("reason", DropNames.Of(reason)));
            }
        }
    }

    private IEnumerable<Measurement<long>> ReadRejected()
    {
        if (_isStopped)
        {
            yield break;
        }

        for (ForwardOutcome outcome = 0; outcome < ForwardOutcome.Count; outcome++)
        {
            yield return new(_forward.Rejected(outcome), _interface, new("reason", ForwardCounters.Name(outcome)));
        }

        yield return new(_counters[DropReason.TcpForwardLimit], _interface, new("reason", "limit"));
    }

    /// <summary>What has happened at least once.</summary>
    private IEnumerable<Measurement<long>> ReadHandshakes()
    {
        for (int index = 0; !_isStopped && index < StackCounters.CryptKinds; index++)
        {
            if (_counters.CryptEncrypted(index) is > 0 and long encrypted)
            {
                yield return new(encrypted, [_interface, s_isEncrypted, .. s_spoken[index]]);
            }
        }

        for (TcpcryptOutcome reason = 0; !_isStopped && reason <= TcpcryptOutcome.HandshakeTimedOut; reason++)
        {
            if (_counters.CryptPlain(reason) is > 0 and long plain)
            {
                yield return new(plain, _interface, s_isPlain, s_reasons[(int)reason]);
            }

            if (_counters.CryptFailed(reason) is > 0 and long failed)
            {
                yield return new(failed, _interface, s_hasFailed, s_reasons[(int)reason]);
            }
        }
    }

    private static KeyValuePair<string, object?>[][] Spoken()
    {
        KeyValuePair<string, object?>[][] spoken = new KeyValuePair<string, object?>[StackCounters.CryptKinds][];
        foreach ((TcpcryptDialect dialect, string protocol) in new[] { (TcpcryptDialect.Draft, "draft"), (TcpcryptDialect.Reference, "reference") })
        {
            foreach ((TcpcryptKeyExchange exchange, string name) in new[] { (TcpcryptKeyExchange.EcdheP256, "ecdhe_p256"), (TcpcryptKeyExchange.EcdheP521, "ecdhe_p521"), (TcpcryptKeyExchange.OaepRsa, "oaep_rsa") })
            {
                foreach (bool isResumed in new[] { false, true })
                {
                    spoken[StackCounters.CryptIndex(dialect, exchange, isResumed)] = [new("protocol", protocol), new("key_exchange", name), new("resumed", isResumed)];
                }
            }
        }

        return spoken;
    }

    private static string ReasonOf(TcpcryptOutcome outcome) => outcome switch
    {
        TcpcryptOutcome.DisabledHere => "disabled_here",
        TcpcryptOutcome.PeerDidNotOffer => "peer_did_not_offer",
        TcpcryptOutcome.PeerDeclined => "peer_declined",
        TcpcryptOutcome.NoCommonAlgorithm => "no_common_algorithm",
        TcpcryptOutcome.AwarenessMismatch => "awareness_mismatch",
        TcpcryptOutcome.RoleConflict => "role_conflict",
        TcpcryptOutcome.SynUnanswered => "syn_unanswered",
        TcpcryptOutcome.RememberedPlain => "remembered_plain",
        TcpcryptOutcome.HandshakeFailed => "handshake_failed",
        TcpcryptOutcome.HandshakeLost => "handshake_lost",
        TcpcryptOutcome.HandshakeTimedOut => "handshake_timed_out",
        _ => "other",
    };

    private Measurement<long>[] ReadRetransmits()
    {
        if (_isStopped)
        {
            return [];
        }

        long fast = Volatile.Read(ref _counters.TcpFastRetransmits);
        long timeouts = Volatile.Read(ref _counters.TcpTimeouts);

        // The rest of a recovery. Not every time-out sends a segment again, so the difference alone could go down.
        _otherRetransmits = Math.Max(_otherRetransmits, Volatile.Read(ref _counters.TcpRetransSegs) - fast - timeouts);
        return
        [
            new(fast, _interface, new("kind", "fast")),
            new(timeouts, _interface, new("kind", "timeout")),
            new(_otherRetransmits, _interface, new("kind", "recovery")),
        ];
    }

    /// <summary>Connections by state. The table is walked under the core's lock, so at most once per second, and in between the last figures are given.</summary>
    private Measurement<long>[] ReadConnections()
    {
        lock (_censusLock)
        {
            long now = _host.TimeProvider.GetTimestamp();
            if (_isStopped || _host.IsStopped || now < _censusTime)
            {
                return _isStopped || _host.IsStopped ? [] : _census;
            }

            _censusTime = now + _host.TimeProvider.TimestampFrequency;
            const int States = (int)TcpState.DeleteTcb + 1;
            long[] states = new long[2 * States];
            try
            {
                _host.Query(states, static (counts, core, _) =>
                {
                    foreach (TcpEndpoint endpoint in core.Tcp.Endpoints)
                    {
                        counts[(endpoint.IsEncrypted ? States : 0) + (int)endpoint.State]++;
                    }

                    counts[(int)TcpState.SynReceived] += core.Tcp.SynReceiveds.Count();
                    counts[(int)TcpState.TimeWait] += core.Tcp.TimeWaits.Count();
                    return 0;
                });
            }
            catch (Exception error) when (error is ObjectDisposedException or IOException)
            {
                return [];
            }

            return _census = [.. Rows(0, s_plain), .. Rows(States, s_encrypted)];

            Measurement<long>[] Rows(int first, KeyValuePair<string, object?> encrypted)
            {
                return
                [
                    Of(TcpState.SynSent, "syn_sent"), Of(TcpState.SynReceived, "syn_received"), Of(TcpState.Established, "established"), Of(TcpState.FinWait1, "fin_wait_1"),
                    Of(TcpState.FinWait2, "fin_wait_2"), Of(TcpState.CloseWait, "close_wait"), Of(TcpState.Closing, "closing"), Of(TcpState.LastAck, "last_ack"), Of(TcpState.TimeWait, "time_wait"),
                ];

                Measurement<long> Of(TcpState state, string name) => new(states[first + (int)state], _interface, new("state", name), encrypted);
            }
        }
    }
}
