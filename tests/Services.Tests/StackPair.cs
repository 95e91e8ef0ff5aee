using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Tcpcrypt.Tests;

/// <summary>Two stacks, 10.0.0.1 and 10.0.0.2, back to back in memory.</summary>
internal sealed class StackPair : IAsyncDisposable
{
    public static readonly IPAddress FirstAddress = IPAddress.Parse("10.0.0.1");
    public static readonly IPAddress SecondAddress = IPAddress.Parse("10.0.0.2");
    public static readonly IPAddress Foreign = IPAddress.Parse("203.0.113.7");
    public static readonly IPNetwork Everything = IPNetwork.Parse("0.0.0.0/0");

    private readonly PacketDevice _firstDevice;
    private readonly PacketDevice _secondDevice;

    private StackPair(PacketDevice firstDevice, PacketDevice secondDevice, IpStack first, IpStack second)
    {
        _firstDevice = firstDevice;
        _secondDevice = secondDevice;
        First = first;
        Second = second;
    }

    public IpStack First { get; }

    public IpStack Second { get; }

    /// <summary>The device of <see cref="Second"/>: disposing of it is what a removed TUN device looks like.</summary>
    public PacketDevice SecondDevice => _secondDevice;

    public static async Task<StackPair> StartAsync(Action<IpStackOptions>? configureSecond = null, PacketOffloads offloads = PacketOffloads.Checksum | PacketOffloads.Segmentation)
    {
        (PacketDevice firstDevice, PacketDevice secondDevice) = MemoryLink.CreatePair(offloads: offloads);
        IpStack first = await IpStack.StartAsync(firstDevice, new IpStackOptions { Addresses = [new IPPrefixAddress(FirstAddress, 24)] });
        IpStackOptions options = new() { Addresses = [new IPPrefixAddress(SecondAddress, 24)] };
        configureSecond?.Invoke(options);
        return new StackPair(firstDevice, secondDevice, first, await IpStack.StartAsync(secondDevice, options));
    }

    public async ValueTask DisposeAsync()
    {
        await First.DisposeAsync();
        await Second.DisposeAsync();
        await _firstDevice.DisposeAsync();
        await _secondDevice.DisposeAsync();
    }

    public static SocketError ErrorOf(Exception? error) => error switch
    {
        SocketException socket => socket.SocketErrorCode,
        { InnerException: SocketException socket } => socket.SocketErrorCode,
        _ => throw new AssertionException("No socket error: " + error),
    };
}

/// <summary>Keeps what is logged.</summary>
internal sealed class RecordingLoggerFactory : ILoggerFactory, ILogger
{
    private readonly List<(LogLevel Level, int Id, string Text)> _entries = [];

    public (LogLevel Level, int Id, string Text)[] Entries
    {
        get
        {
            lock (_entries)
            {
                return [.. _entries];
            }
        }
    }

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public void Dispose()
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (_entries)
        {
            _entries.Add((logLevel, eventId.Id, formatter(state, exception)));
        }
    }
}

internal sealed class TestMeterFactory : IMeterFactory
{
    private readonly List<Meter> _meters = [];

    public Meter Create(MeterOptions options)
    {
        Meter meter = new(options);
        _meters.Add(meter);
        return meter;
    }

    public void Dispose() => _meters.ForEach(static meter => meter.Dispose());
}
