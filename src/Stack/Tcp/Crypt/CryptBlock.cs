using Tcpcrypt.Core;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tcp.Crypt;

/// <summary>The states of [TD-14] in which there is a connection; CLOSED and LISTEN have none.</summary>
internal enum CryptState
{
    HelloSent,
    NextKSent,
    CMode,
    SMode,
    Encrypting,
    Disabled,
}

/// <summary>tcpcrypt's part of one connection's control block: made with the SYN, kept while half open, then by <see cref="TcpEndpoint"/>.</summary>
internal sealed partial class CryptBlock(CryptLayer layer, CryptSettings settings)
{
    /// <summary>Segments of S that overtook INIT2, held until the keys are there ([TD-40]): the initial window.</summary>
    private const int HeldLimit = 16;

    public CryptLayer Layer { get; } = layer;

    public CryptSettings Settings { get; } = settings;

    public CryptState State { get; set; }

    public TcpcryptOutcome Outcome { get; set; }

    public TcpcryptRole Role { get; set; }

    public bool IsOpener { get; init; }

    public bool IsSetup => State < CryptState.Encrypting;

    public bool IsEncrypting => State == CryptState.Encrypting;

    /// <summary>Plain, and that must not be.</summary>
    public bool IsRefused => State == CryptState.Disabled && Settings.IsRequired;

    public bool IsLocalAware => Settings.Awareness != TcpcryptAwareness.No;

    public bool IsRemoteAware { get; set; }

    /// <summary>The list in PKCONF, as it was sent.</summary>
    public byte[] PkConf { get; set; } = [];

    /// <summary>The content of the CRYPT option in the first segment after DISABLED: DECLINE and UNKNOWN ([TD-46..48]); null for none.</summary>
    public byte[]? Farewell
    {
        get;
        set
        {
            field = value;
            _isFarewellSaid = false;
        }
    }

    /// <summary>The SYN,ACK has said it, and nothing behind it may carry CRYPT ([TD-46]).</summary>
    private bool _isFarewellSaid;

    /// <summary>The next segment says what is to be said on the way to plain TCP.</summary>
    public bool IsFarewellDue => State == CryptState.Disabled && Farewell is not null && !_isFarewellSaid;

    /// <summary>The opcodes that UNKNOWN has to name in the next bare ACK of ENCRYPTING ([TD-4], [TD-47]), as in <see cref="CryptOptions.UnknownMandatory"/>.</summary>
    public ulong UnknownOpcodes { get; set; }

    /// <summary>A segment that carries PKCONF (S as opener) is due.</summary>
    public bool IsPkConfPending { get; set; }

    /// <summary>When it last became so.</summary>
    public TcpInstant PkConfAt { get; set; }

    /// <summary>Cookie to be returned with INIT1 ([TD-57]).</summary>
    public byte[]? AckCookie { get; set; }

    /// <summary>The last SYN went without CRYPT ([TD-52]); only an answer to an earlier one with NEXTK1 counts.</summary>
    public bool IsSynPlain { get; set; }

    /// <summary>S/HELLO* dropped in SYN-SENT ([TD-37]).</summary>
    public int DroppedHellos { get; set; }

    /// <summary>Our INIT message, until it is acknowledged.</summary>
    public ReadOnlyMemory<byte> Init { get; set; }

    /// <summary>Public-key work is under way.</summary>
    public bool IsWorking { get; set; }

    public ClientHandshake? Client { get; set; }

    /// <summary>The session that NEXTK1 offers.</summary>
    public TcpcryptSession? Offered { get; set; }

    public SegmentProtection? Protection { get; set; }

    public SessionAgreement? Agreement { get; set; }

    public ReadOnlyMemory<byte> SessionId { get; set; }

    public bool IsResumed { get; set; }

    /// <summary>The session of this connection, wiped: what is left of it names the chain.</summary>
    public TcpcryptSession? Session { get; private set; }

    /// <summary>What the connection leaves for the next one; kept when the peer has shown that it has the keys ([TD-101]).</summary>
    private TcpcryptSession? _successor;

    public ReadOnlyMemory<byte>? LocalPublicKey { get; set; }

    public ReadOnlyMemory<byte>? RemotePublicKey { get; set; }

    public bool IsDraft => Agreement?.Dialect == TcpcryptDialect.Draft;

    /// <summary>Octets of INIT in front of each side's stream; they count in the offsets.</summary>
    public int SentPrefix { get; set; }

    public int ReceivedPrefix { get; set; }

    /// <summary>Anything with a valid MAC has been heard.</summary>
    public bool WasAuthenticated { get; private set; }

    /// <summary>The SYN,ACK of a listener that is C says both forms of HELLO: the daemon knows the plain one only, so C's bit is in nobody's keys (reference spec 9).</summary>
    private bool _isBitOfCHidden;

    /// <summary>Reference spec 5: bit 0 is C's application bit, bit 1 S's.</summary>
    public byte ApplicationBits
    {
        get
        {
            bool c = (Role == TcpcryptRole.C ? IsLocalAware : IsRemoteAware) && !_isBitOfCHidden;
            bool s = Role == TcpcryptRole.C ? IsRemoteAware : IsLocalAware;
            return (byte)((c ? 1 : 0) | (s ? 2 : 0));
        }
    }

    public TcpcryptStatus GetStatus(long rekeyCount) => new()
    {
        Outcome = Outcome,
        Dialect = Agreement?.Dialect ?? TcpcryptDialect.None,
        Role = IsEncrypting ? Role : TcpcryptRole.None,
        SessionId = SessionId,
        KeyExchange = Agreement?.KeyExchange ?? TcpcryptKeyExchange.None,
        Cipher = Agreement?.Cipher ?? TcpcryptCipher.None,
        PublicKeySize = Agreement?.PublicKeySize ?? 0,
        LocalPublicKey = LocalPublicKey,
        RemotePublicKey = RemotePublicKey,
        IsResumed = IsResumed,
        LocalApplicationAware = IsLocalAware,
        RemoteApplicationAware = IsRemoteAware,
        RekeyCount = rekeyCount,
    };

    /// <summary>To DISABLED, for ever ([TD-14]).</summary>
    public void Disable(TcpcryptOutcome outcome)
    {
        State = CryptState.Disabled;
        Outcome = outcome;
        Release();
    }

    /// <summary>To ENCRYPTING, for ever, with a session and its keys.</summary>
    public void Encrypt(TcpcryptSession session, SegmentProtection protection)
    {
        State = CryptState.Encrypting;
        Outcome = TcpcryptOutcome.Encrypted;
        Agreement = session.Agreement;
        Role = session.Agreement.Role;
        SessionId = session.SessionId;
        Protection = protection;
        if (Settings.AllowResumption && Layer.Sessions is not null && !IsNextKept)
        {
            _successor = session.Next(IsOpener, ApplicationBits);
        }

        Session = session;
        session.Dispose();
        PkConf = [];
        AckCookie = null;
        Release();
    }

    /// <summary>The session came out of our own cache, where the chain has moved on.</summary>
    private bool IsNextKept => IsResumed && IsDraft && Layer.Sessions is TcpcryptSessionCache;

    /// <summary>The first segment with a valid MAC: the peer has the keys.</summary>
    public void OnAuthenticated(Ipv4Address peer)
    {
        if (WasAuthenticated)
        {
            return;
        }

        WasAuthenticated = true;
        if (_successor is { } successor)
        {
            _successor = null;
            Layer.Keep(peer, successor);
        }
        else if (IsNextKept && Settings.AllowResumption && Session is { IsChainDropped: false } session)
        {
            ((TcpcryptSessionCache)Layer.Sessions!).Confirm(session);
        }
    }

    /// <summary>No later connection resumes this one's session ([TD-105]); during setup: the one about to be resumed is not.</summary>
    public void FlushSession()
    {
        if (Offered is { } offered)
        {
            Layer.Forget(offered);
        }

        if (Session is { } session)
        {
            _successor?.Dispose();
            _successor = null;
            Layer.Forget(session);
        }
    }

    /// <summary>The connection is over: what is secret goes.</summary>
    public void Close()
    {
        Protection?.Dispose();
        Protection = null;
        _successor?.Dispose();
        _successor = null;
        _held = null;
        Release();
    }

    private void Release()
    {
        Offered?.Dispose();
        Offered = null;
        if (!IsWorking)
        {
            Client?.Dispose();
            Client = null;
        }

        _gathered = null;
    }

    // ---- What the peer's INIT message is gathered in ----

    private byte[]? _gathered;
    private int _gatheredLength;

    public ReadOnlySpan<byte> Gathered => _gathered.AsSpan(0, _gatheredLength);

    /// <summary>Adds the part of an INIT message that starts <paramref name="offset"/> octets into it. Parts ahead of what is there are left to their retransmission.</summary>
    /// <param name="offset">Where the part starts.</param>
    /// <param name="part">The octets.</param>
    /// <param name="length">The length of the message, if the part says it: no more is kept than shows that there is too much.</param>
    public void Gather(int offset, ReadOnlySpan<byte> part, int length)
    {
        int known = _gatheredLength - offset;
        if (known < 0 || known >= part.Length)
        {
            return;
        }

        _gathered ??= new byte[Math.Min(length + 1, InitMessage.MaxLength)];
        part = part[known..];
        part = part[..Math.Min(part.Length, _gathered.Length - _gatheredLength)];
        part.CopyTo(_gathered.AsSpan(_gatheredLength));
        _gatheredLength += part.Length;
    }

    // ---- Segments that came before their keys ----

    private List<byte[]>? _held;

    public void Hold(ReadOnlySpan<byte> segment)
    {
        _held ??= [];
        if (_held.Count < HeldLimit)
        {
            _held.Add(segment.ToArray());
        }
    }

    /// <summary>Gives up what is held: what is done with it may end the connection.</summary>
    public List<byte[]> TakeHeld()
    {
        List<byte[]> held = _held ?? [];
        _held = null;
        return held;
    }
}
