using System.Net.Sockets;

namespace Tcpcrypt;

// Settings that may be changed at any time. They hold for what is sent and received later.
public sealed partial class TcpConnection
{
    private const int BufferSizeMax = 1024 * 1024 * 1024;

    /// <summary>True: small segments are sent at once. False (the default): they wait for the acknowledgment of earlier ones (Nagle's algorithm, RFC 9293 §3.7.4).</summary>
    public bool NoDelay
    {
        get => _link.GetOption(static options => options.NoDelay);
        set => _link.SetOption(value, static (options, value) => options.NoDelay = value);
    }

    /// <summary>
    /// What <see cref="DisposeAsync"/> does with data that is not sent. Disabled (the default): it is sent in the background. Enabled with zero: RST.
    /// Enabled with a time in seconds: the call waits so long, then RST.
    /// </summary>
    public LingerOption LingerState
    {
        get => _link.GetOption(static options => options.Linger) is { } time ? new LingerOption(true, (int)time.TotalSeconds) : new LingerOption(false, 0);
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            if (value.Enabled && value.LingerTime < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(value), value.LingerTime, "A linger time is not negative.");
            }

            _link.SetOption<TimeSpan?>(value.Enabled ? TimeSpan.FromSeconds(value.LingerTime) : null, static (options, value) => options.Linger = value);
        }
    }

    /// <summary>Probing of the idle connection; null (the default) for none (RFC 9293 MUST-25).</summary>
    public TcpKeepAlive? KeepAlive
    {
        get => _link.GetOption(static options => options.KeepAlive ? new TcpKeepAlive(options.KeepAliveIdle, options.KeepAliveInterval, options.KeepAliveCount) : null);
        set
        {
            value?.Validate(nameof(value));
            _link.SetOption(value, static (options, value) =>
            {
                options.KeepAlive = value is not null;
                if (value is not null)
                {
                    options.KeepAliveIdle = value.Idle;
                    options.KeepAliveInterval = value.Interval;
                    options.KeepAliveCount = value.Count;
                }
            });
        }
    }

    /// <summary>
    /// How long sent data may stay unacknowledged before the connection is given up with <see cref="SocketError.TimedOut"/> (RFC 9293 §3.10.2, RFC 5482 §3); zero (the default) leaves it to
    /// <see cref="TcpStackOptions.R2Retransmissions"/>.
    /// </summary>
    public TimeSpan UserTimeout
    {
        get => _link.GetOption(static options => options.UserTimeout);
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.Zero);
            _link.SetOption(value, static (options, value) => options.UserTimeout = value);
        }
    }

    /// <summary>Bounds what is received and not yet read, and with it the window announced, in octets: 1 to 1 GiB. A smaller value takes effect as data is read: a window once announced is not taken back (RFC 9293 SHLD-14).</summary>
    public int ReceiveBufferSize
    {
        get => _link.GetOption(static options => options.ReceiveBufferSize);
        set => _link.SetOption(CheckBufferSize(value), static (options, value) => options.ReceiveBufferSize = value);
    }

    /// <summary>Bounds what is written and not yet acknowledged, in octets: 1 to 1 GiB.</summary>
    public int SendBufferSize
    {
        get => _link.GetOption(static options => options.SendBufferSize);
        set => _link.SetOption(CheckBufferSize(value), static (options, value) => options.SendBufferSize = value);
    }

    /// <summary>The congestion control. The window and the threshold reached so far are kept when it changes.</summary>
    public CongestionControl CongestionControl
    {
        get => _link.GetOption(static options => options.CongestionControl);
        set
        {
            TcpOverrides.Validate(congestionControl: value);
            _link.SetOption(value, static (options, value) => options.CongestionControl = value);
        }
    }

    /// <summary>The most payload octets per second: at least 1; null (the default) = no bound. It paces the connection whatever <see cref="TcpStackOptions.Pacing"/> says (the meaning of Linux's SO_MAX_PACING_RATE).</summary>
    public long? MaxPacingRate
    {
        get => _link.GetOption(static options => options.MaxPacingRate);
        set
        {
            TcpOverrides.Validate(maxPacingRate: value);
            _link.SetOption(value, static (options, value) => options.MaxPacingRate = value);
        }
    }

    /// <summary>The Type of Service octet of packets sent: DSCP in the upper six bits (RFC 2474; RFC 9293 MUST-48). The lower two, ECN, are the stack's.</summary>
    public byte TypeOfService
    {
        get => _link.GetOption(static options => options.TypeOfService);
        set => _link.SetOption(value, static (options, value) => options.TypeOfService = value);
    }

    /// <summary>The Time to Live of packets sent: 1 to 255 (RFC 9293 MUST-49).</summary>
    public byte Ttl
    {
        get => _link.GetOption(static options => options.TimeToLive);
        set
        {
            ArgumentOutOfRangeException.ThrowIfZero(value);
            _link.SetOption(value, static (options, value) => options.TimeToLive = value);
        }
    }

    private static int CheckBufferSize(int value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, BufferSizeMax);
        return value;
    }
}
