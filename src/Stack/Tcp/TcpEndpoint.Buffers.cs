using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

// Buffers that fit the path: the receive buffer grows with what the application takes in a round trip (Linux's dynamic right-sizing), the send buffer with the
// congestion window. They never shrink, so that no window is taken back, and they do not grow while the stack's memory is scarce.
internal sealed partial class TcpEndpoint
{
    /// <summary>Data received before anything is measured: connections that only talk a little stay small.</summary>
    private const int MeasuredFrom = 16 * 1024;

    private int _tunedReceiveBuffer;
    private int _tunedSendBuffer;
    private ReceiveTuning? _receiveTuning;
    private long _wantedReadable;

    /// <summary>The receive buffer as it is now. Safe from any thread.</summary>
    public int ReceiveBufferSize => Options.ReceiveBufferSize is > 0 and int size ? size : Volatile.Read(ref _tunedReceiveBuffer);

    /// <summary>The send buffer as it is now. Safe from any thread.</summary>
    public int SendBufferSize => Options.SendBufferSize is > 0 and int size ? size : Volatile.Read(ref _tunedSendBuffer);

    /// <summary>The application waits for more than it lets the buffer hold; <see cref="OnReceive"/> makes room. Safe from any thread.</summary>
    public void WantReadable(long octets) => Volatile.Write(ref _wantedReadable, octets);

    private bool MayGrow => _core.Blocks.InUse < _core.Blocks.Limit / 2;

    /// <summary>Text came in order.</summary>
    private void MeasureText(TcpInstant now, scoped in Segment seg)
    {
        if (Options.ReceiveBufferSize > 0 || _bytesReceived < MeasuredFrom || _tunedReceiveBuffer >= _core.Options.Tcp.MaxReceiveBufferSize)
        {
            return;
        }

        _receiveTuning ??= new ReceiveTuning(now, Taken, InitialSpace, _rtt.MinRtt);
        if (_ts.IsOn && seg.HasTimestamps && seg.TsEcr != 0 && seg.Payload.Length >= _rcvMss)
        {
            _receiveTuning.OnEcho(seg.TsEcr, TsVal(now));
        }

        _receiveTuning.OnText(now, _rcv.Nxt, _rcv.Adv);
    }

    /// <summary>Whenever a window is to be announced.</summary>
    private void TuneReceiveBuffer(TcpInstant now)
    {
        if (Options.ReceiveBufferSize > 0 || !MayGrow)
        {
            return;
        }

        long wanted = _receiveTuning?.Wanted(now, Taken, _rcvMss) ?? 0;
        wanted = Math.Max(wanted, Volatile.Read(ref _wantedReadable));
        if (wanted > _tunedReceiveBuffer)
        {
            Volatile.Write(ref _tunedReceiveBuffer, (int)Math.Min(wanted, _core.Options.Tcp.MaxReceiveBufferSize));
        }
    }

    /// <summary>Twice what may be in flight: as much again is written while that is acknowledged.</summary>
    private void TuneSendBuffer()
    {
        long wanted = 2 * _congestion.Cwnd;
        if (wanted > _tunedSendBuffer && Options.SendBufferSize == 0 && MayGrow)
        {
            Volatile.Write(ref _tunedSendBuffer, (int)Math.Min(wanted, _core.Options.Tcp.MaxSendBufferSize));
        }
    }

    /// <summary>Octets that the application has taken.</summary>
    private long Taken => ReceiveQueue.Head + _discarded;

    private int InitialSpace => 10 * _rcvMss;
}
