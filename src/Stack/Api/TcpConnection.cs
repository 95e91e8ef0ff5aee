using System.IO.Pipelines;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Threading.Channels;
using Tcpcrypt.Tcp;

namespace Tcpcrypt;

/// <summary>A TCP connection of an <see cref="IpStack"/>: a stream of octets each way.</summary>
/// <remarks>
/// <para>Data goes through <see cref="Input"/> and <see cref="Output"/>, which give access to the stack's own buffers, or through <see cref="GetStream"/>. Use one of the two, not both at once.
/// One read and one write may be pending at a time, on any threads; a second one of a kind throws <see cref="InvalidOperationException"/>.</para>
/// <para>Reads and writes on a broken connection throw <see cref="IOException"/> with a <see cref="SocketException"/> inside (reset, timed out, unreachable). What arrived before can be read first, except after a reset, which drops what is unread (RFC 9293 §3.10.7.4).
/// After <see cref="DisposeAsync"/>, and in calls pending then, they throw <see cref="ObjectDisposedException"/>; when the stack's device has died, <see cref="IOException"/>.</para>
/// </remarks>
public sealed partial class TcpConnection : IDuplexPipe, IAsyncDisposable
{
    private readonly ConnectionLink _link;
    private IPEndPoint? _localEndPoint;
    private IPEndPoint? _remoteEndPoint;

    private TcpConnection(ConnectionLink link) => _link = link;

    internal ConnectionLink Link => _link;

    internal TcpEndpoint Endpoint => _link.Endpoint;

    /// <summary>Makes the public object of an endpoint and becomes its owner. Under the core's lock; call <see cref="ConnectionLink.Attach"/> after it was released.</summary>
    internal static TcpConnection Create(IpStack stack, TcpEndpoint endpoint) => Create(stack, endpoint, stack.Host.Scheduling);

    /// <inheritdoc cref="Create(IpStack, TcpEndpoint)"/>
    internal static TcpConnection Create(IpStack stack, TcpEndpoint endpoint, ContinuationScheduling scheduling) =>
        new(new ConnectionLink(stack, endpoint, scheduling));

    /// <summary>This end's address and port.</summary>
    public IPEndPoint LocalEndPoint => _localEndPoint ??= Endpoint.Tuple.Local.ToIPEndPoint();

    /// <summary>The peer's address and port.</summary>
    public IPEndPoint RemoteEndPoint => _remoteEndPoint ??= Endpoint.Tuple.Remote.ToIPEndPoint();

    /// <summary>The state of RFC 9293 §3.3.2.</summary>
    public TcpState State => Endpoint.State;

    // ---- Data ----

    /// <summary>
    /// What the peer sends. Results are views of the receive buffer itself: nothing is copied. <see cref="PipeReader.Complete"/> shuts reading down: what is unread and what still arrives is discarded.
    /// </summary>
    /// <remarks>A read that examines everything and consumes nothing can never see more than <see cref="ReceiveBufferSize"/> octets; an automatic buffer grows for it up to <see cref="TcpStackOptions.MaxReceiveBufferSize"/>.</remarks>
    public PipeReader Input => _link.PipeReader;

    /// <summary>
    /// What is sent to the peer. <see cref="PipeWriter.FlushAsync"/> sends, and waits while the send buffer is full; octets advanced over may be sent before. <see cref="PipeWriter.Complete"/> is
    /// <see cref="CompleteWrites"/>; with an exception it is <see cref="Abort"/>.
    /// </summary>
    public PipeWriter Output => _link.PipeWriter;

    /// <summary>The connection as a stream. Its synchronous methods block the caller, never the stack.</summary>
    /// <remarks>
    /// A write ends when its octets are in the send buffer, not when they were acknowledged. A cancelled read loses no data. A cancelled write may have sent a part of its octets.
    /// A read into an empty buffer waits for data without taking any. <c>ReadTimeout</c> and <c>WriteTimeout</c> hold for synchronous calls.
    /// </remarks>
    /// <param name="ownsConnection">True: disposing of the stream disposes of the connection. False: it ends the use of the stream only; see <see cref="CompleteWrites"/> for the end of data.</param>
    /// <returns>A stream; each call gives a new one over the same connection.</returns>
    public Stream GetStream(bool ownsConnection = true) => new ConnectionStream(this, _link, ownsConnection);

    /// <summary>Sends urgent data (RFC 9293 §3.8.5): the octets go in-band, and the peer is told how far they reach.</summary>
    /// <param name="data">The octets; at least one.</param>
    /// <param name="ct">Cancels the wait for room in the send buffer; a part may have been queued then, as ordinary data.</param>
    /// <returns>A task that ends when the octets are in the send buffer.</returns>
    /// <exception cref="ArgumentException">No octets.</exception>
    /// <exception cref="IOException">The connection is broken.</exception>
    public async ValueTask SendUrgentAsync(ReadOnlyMemory<byte> data, CancellationToken ct = default)
    {
        if (data.IsEmpty)
        {
            throw new ArgumentException("Urgent data has at least one octet.", nameof(data));
        }

        await _link.StreamWrite.WriteUrgentAsync(data, ct).ConfigureAwait(false);

        // The mark is at what is queued when the core sees it: nothing may be written before it has.
        await _link.Host.InvokeAsync(0, static (_, _, _) => true).ConfigureAwait(false);
    }

    /// <summary>How many octets of urgent data are ahead of the reader (RFC 9293 MUST-33); null when there are none.</summary>
    public int? UrgentOctetsAhead => _link.Host.Query(Endpoint, static (endpoint, _, _) => endpoint.UrgentOctetsAhead);

    // ---- The end ----

    /// <summary>Half-close: what was written is sent, then FIN. Reading goes on. Does not wait; further writes fail.</summary>
    public void CompleteWrites() => _link.CompleteWrites();

    /// <summary>Resets the connection (RFC 9293 §3.10.5): RST to the peer, queued data is dropped, pending calls fail.</summary>
    public void Abort() => _link.Abort();

    /// <summary>Ends when the peer has ended its direction (what it sent before may still be unread). Faults when the connection breaks or is disposed of before.</summary>
    public Task ReadsClosed => _link.ReadsClosed;

    /// <summary>Ends when the peer's stack has acknowledged everything, our FIN included. Faults when the connection breaks before.</summary>
    public Task WritesClosed => _link.WritesClosed;

    /// <summary>
    /// Closes the connection. What was written is sent in the background, then FIN; the connection is reset instead when received data is unread (RFC 2525 §2.17) or
    /// <see cref="LingerState"/> is enabled with zero. With a linger time, the call waits so long for the peer to have everything, and resets the connection then.
    /// Pending calls fail with <see cref="ObjectDisposedException"/>. Idempotent.
    /// </summary>
    /// <returns>A task that ends at once unless there is a linger time.</returns>
    public ValueTask DisposeAsync()
    {
        TimeSpan linger = _link.GetOption(static options => options.Linger) ?? TimeSpan.Zero;
        return _link.Dispose() && linger > TimeSpan.Zero ? LingerAsync(linger) : ValueTask.CompletedTask;
    }

    private async ValueTask LingerAsync(TimeSpan linger)
    {
        using CancellationTokenSource timeout = new(linger, _link.Host.TimeProvider);
        try
        {
            await _link.WaitDrainedAsync(timeout.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            _link.Abort();
        }
    }

    // ---- Information ----

    /// <summary>What arrives beside the data: urgent marks, ICMP errors, R1. At most 32 wait, the oldest give way. Collected from the first use of this property on.</summary>
    public ChannelReader<TcpNotice> Notices => _link.Notices;

    /// <summary>What tcpcrypt has done for the connection: whether it is encrypted, why not, and the session ID.</summary>
    public TcpcryptStatus Tcpcrypt => _link.Host.Query(Endpoint, static (endpoint, _, _) => endpoint.CryptStatus) ?? TcpcryptStatus.Disabled;

    /// <summary>Replaces the keys of an encrypted connection, in both directions (draft-bittau-tcp-crypt; dialect Draft). Not more often than once in 60 s or 1 MiB: a call before that waits.</summary>
    /// <param name="ct">Ends the wait; the keys are replaced all the same.</param>
    /// <returns>A task that ends when the peer is known to have the new keys.</returns>
    /// <exception cref="NotSupportedException">The connection is plain, or speaks dialect Reference, which has no re-keying.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public async ValueTask RekeyAsync(CancellationToken ct = default)
    {
        long target = await _link.Host.InvokeAsync(Endpoint, static (endpoint, _, now) => endpoint.RequestRekey(now)).ConfigureAwait(false);
        if (target < 0 && !_link.IsClosed)
        {
            throw new NotSupportedException("Only encrypted connections of dialect Draft have keys that can be replaced; see TcpConnection.Tcpcrypt.");
        }

        await _link.WaitRekeyedAsync(target, ct).ConfigureAwait(false);
    }

    /// <summary>Sees to it that no later connection resumes this one's session. To be called when authentication of the session ID fails (docs/authentication.md).</summary>
    public void FlushTcpcryptSession() => _link.Host.Post(Endpoint, static (endpoint, _, _) => endpoint.FlushCryptSession());

    /// <summary>The connection's variables now.</summary>
    /// <returns>A copy.</returns>
    public TcpInfo GetInfo() => _link.Host.Query(Endpoint, static (endpoint, _, now) => endpoint.GetInfo(now));

    /// <inheritdoc/>
    public override string ToString() => $"{LocalEndPoint}-{RemoteEndPoint} {State}";
}
