using System.Net;
using Tcpcrypt.Tun;

namespace Tcpcrypt.Interop;

/// <summary>How our end is set, in terms of the peer's options; null leaves the stack's default.</summary>
internal sealed record EndOptions
{
    public string? Policy { get; init; }

    public string? CMode { get; init; }

    public string? ApplicationAware { get; init; }

    public TcpcryptKeyExchange[]? KeyExchanges { get; init; }

    /// <summary>A key of 4096 bits takes seconds to make; Reference has no other.</summary>
    public int RsaKeySize { get; init; } = 2048;

    public TcpcryptCipher[]? Ciphers { get; init; }

    public TcpcryptDialect? UnknownPeerDialect { get; init; }
}

/// <summary>What our end says of a connection.</summary>
internal sealed record EndStatus(
    bool IsEncrypted, string Outcome, TcpcryptDialect Dialect, TcpcryptRole Role, string SessionId, TcpcryptKeyExchange KeyExchange, TcpcryptCipher Cipher, bool IsResumed, bool RemoteApplicationAware, long RekeyCount);

/// <summary>
/// Our stack at one end of the path, on the device of its site. The only file that knows how tcpcrypt looks in the public API.
/// </summary>
internal sealed class StackEnd : IAsyncDisposable
{
    private readonly TunDevice _device;

    private StackEnd(TunDevice device, IpStack stack, Site site, SteeredClock clock) => (_device, Stack, Site, Clock) = (device, stack, site, clock);

    public IpStack Stack { get; }

    public Site Site { get; }

    public SteeredClock Clock { get; }

    public static async Task<StackEnd> StartAsync(Site site, EndOptions options)
    {
        SteeredClock clock = new();
        TunDevice device = site.Namespace.Invoke(() => TunDevice.Open(new TunDeviceOptions { Name = Site.Device, Configure = false }));
        IpStackOptions stack = new() { Addresses = [new IPPrefixAddress(site.Address, 24)], TimeProvider = clock };
        Apply(options, stack);
        return new StackEnd(device, await IpStack.StartAsync(device, stack), site, clock);
    }

    public async ValueTask DisposeAsync()
    {
        await Stack.DisposeAsync();
        await _device.DisposeAsync();
    }

    public static EndStatus Status(TcpConnection connection)
    {
        TcpcryptStatus status = connection.Tcpcrypt;
        return new EndStatus(
            status.IsEncrypted, status.Outcome.ToString(), status.Dialect, status.Role, Convert.ToHexString(status.SessionId.Span), status.KeyExchange, status.Cipher, status.IsResumed,
            status.RemoteApplicationAware, status.RekeyCount);
    }

    public static async Task RekeyAsync(TcpConnection connection) => await connection.RekeyAsync();

    private static void Apply(EndOptions options, IpStackOptions stack)
    {
        TcpcryptOptions to = stack.Tcpcrypt;
        to.Policy = options.Policy is { } policy ? Enum.Parse<TcpcryptPolicy>(policy) : to.Policy;
        to.CMode = options.CMode is { } mode ? Enum.Parse<TcpcryptCMode>(mode) : to.CMode;
        to.ApplicationAware = options.ApplicationAware is { } aware ? Enum.Parse<TcpcryptAwareness>(aware) : to.ApplicationAware;
        to.UnknownPeerDialect = options.UnknownPeerDialect ?? to.UnknownPeerDialect;
        to.RsaKeySize = options.RsaKeySize;
        if (options.KeyExchanges is { } exchanges)
        {
            to.KeyExchanges = [.. exchanges];
        }

        if (options.Ciphers is { } ciphers)
        {
            to.OfferedCiphers = [.. ciphers];
            to.CipherPreference = [.. ciphers];
        }
    }
}
