using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// SYNs that nothing is kept of (RFC 4987 §3.6), and what comes back: by SYNCOOKIE where both sides speak tcpcrypt, else by the ISN.
internal sealed partial class SynCache
{
    private SynCookie? _cookies;

    /// <summary>INIT1 with a cookie of ours, for a connection that nothing is known of ([TD-58]); null when it is none. An entry for a repeated SYN gives way to the cookie of the first.</summary>
    public SegmentVerdict? OnCookie(TcpInstant now, TcpListener listener, in FourTuple tuple, scoped in Segment seg, HalfOpen? later = null)
    {
        if (_cookies is null || _core.Crypt is not { } layer || seg.IsSyn || seg.IsFin || !seg.IsAck)
        {
            return null;
        }

        CryptOptions options = CryptOptions.Parse(seg.Options, layer.Kinds, isOpeningSyn: false);
        Seq<Local> iss = seg.Ack - 1u;
        Seq<Remote> irs = seg.Seq - 1u;
        if (!options.Has(Suboptions.Init1) || !_cookies.TryRead(now, tuple, iss, irs, options.AckCookie, out CookieFacts facts))
        {
            return null;
        }

        CryptSettings settings = listener.Options.Crypt ?? layer.Settings;
        if (listener.IsFull || tcp.IsFull || InHandshake >= _core.Options.Tcp.SynCacheSize || layer.Workers.IsFull)
        {
            return DropReason.CryptQueueFull;
        }

        TcpEndpoint endpoint = Revive(now, listener, tuple, seg, facts.Agreed, CryptBlock.FromCookie(layer, settings, facts), later);
        _core.Counters.CryptCookiesAccepted++;
        endpoint.HandOverTo(listener);
        return endpoint.OnSegment(now, seg);
    }

    private IsnCookie? _isnCookies;

    /// <summary>
    /// An ACK for a connection that nothing is known of: our ISN may say that its SYN was answered (RFC 4987 §3.6); null when it does not. An entry for a repeated SYN gives way to the
    /// cookie of the first. Data whose number is no cookie's is not reset: what comes before it may only be late.
    /// </summary>
    public SegmentVerdict? OnIsnCookie(TcpInstant now, TcpListener listener, in FourTuple tuple, scoped in Segment seg, HalfOpen? later = null)
    {
        if (_isnCookies is not { } cookies || seg.IsSyn || !cookies.IsOut(now))
        {
            return null;
        }

        Seq<Local> iss = seg.Ack - 1u;
        Seq<Remote> irs = seg.Seq - 1u;
        if (!cookies.TryRead(now, tuple, iss, irs, seg.HasTimestamps ? seg.TsEcr : null, out SynAgreement agreed))
        {
            _core.Counters.TcpSynCookiesRejected++;
            return later is null && seg.Payload.Length > 0 ? DropReason.TcpListenNotSyn : null;
        }

        CryptBlock? crypt = AnswerCrypt(listener.Options, tuple.Remote.Address, default, agreed);
        if (crypt is { IsRefused: true } or { IsSetup: true })
        {
            // Policy Required: what could not be encrypted is no connection.
            _core.Counters.TcpSynCookiesRejected++;
            return null;
        }

        if (listener.IsFull || tcp.IsFull)
        {
            // As for a half-open connection: the peer believes in it, and sends again.
            _core.Counters.TcpAcceptQueueOverflows++;
            return DropReason.TcpAcceptQueueFull;
        }

        TcpEndpoint endpoint = Revive(now, listener, tuple, seg, agreed, crypt, later);
        _core.Counters.TcpSynCookiesAccepted++;
        listener.Enqueue(endpoint);
        return endpoint.OnSegment(now, seg);
    }

    /// <summary>The connection that a cookie stood for.</summary>
    private TcpEndpoint Revive(TcpInstant now, TcpListener listener, in FourTuple tuple, scoped in Segment seg, in SynAgreement agreed, CryptBlock? crypt, HalfOpen? later)
    {
        HalfOpen half = new(this)
        {
            Tuple = tuple,
            Listener = listener,
            Options = listener.Options,
            Iss = seg.Ack - 1u,
            Irs = seg.Seq - 1u,
            Agreed = agreed,
            Window = (uint)Math.Min(listener.Options.FirstReceiveBuffer(_core.Options.Tcp), 0xFFFF),
            Shift = agreed.WindowScaling ? listener.Options.WindowShift(_core.Options.Tcp) : (byte)0,
            TsRecent = seg.TsVal,
            ArrivedAt = now,
            Crypt = crypt,
        };
        if (later is not null)
        {
            Remove(later);
        }

        TcpEndpoint endpoint = TcpEndpoint.FromHalfOpen(tcp, now, tcp.NextId(), half);
        tcp.Add(endpoint, tuple);
        _core.Counters.TcpPassiveOpens++;
        return endpoint;
    }

    private void SendSynAckWithIsnCookie(TcpInstant now, HalfOpen half)
    {
        if (_core.RentOutput(SegmentWriter.PayloadOffset(TcpHeader.MaxOptionsLength)) is not { } slot)
        {
            return;
        }

        _isnCookies ??= new IsnCookie(_core.Random);
        uint tsVal = TsVal(now, half);
        SynAgreement agreed = half.Agreed.Timestamps ? half.Agreed : new SynAgreement { PeerMss = half.Agreed.PeerMss };
        half.Iss = _isnCookies.Write(now, half.Tuple, half.Irs, agreed, ref tsVal);
        half.Agreed = agreed;
        WriteSynAck(half, slot, tsVal, 0, default);
        _core.Counters.TcpSynCookiesSent++;
        _core.Send(slot);
    }

    private void SendSynAckWithCookie(TcpInstant now, HalfOpen half, CryptBlock crypt)
    {
        if (_core.RentOutput(SegmentWriter.PayloadOffset(TcpHeader.MaxOptionsLength)) is not { } slot)
        {
            return;
        }

        _cookies ??= new SynCookie(_core.Random);
        CookieFacts facts = new() { KeyExchange = crypt.OfferFirst(), IsRemoteAware = crypt.IsRemoteAware, Agreed = half.Agreed };
        Span<byte> cookie = stackalloc byte[SynCookie.Length];
        _cookies.Write(now, half.Tuple, half.Iss, half.Irs, facts, cookie);

        // All 40 octets are used: 20 by the options of every SYN,ACK, 2 + 8 + 10 by CRYPT.
        Span<byte> content = stackalloc byte[TcpHeader.MaxOptionsLength];
        SuboptionWriter writer = new(content);
        crypt.WritePkConf(ref writer);
        writer.Variable(Opcode.SynCookie, cookie);
        WriteSynAck(half, slot, TsVal(now, half), crypt.Layer.Kinds.Crypt, writer.Written);
        _core.Counters.CryptCookiesSent++;
        _core.Send(slot);
    }
}
