namespace Tcpcrypt;

/// <summary>Whether connections are encrypted.</summary>
public enum TcpcryptPolicy
{
    /// <summary>Never: CRYPT is neither offered nor accepted.</summary>
    Disabled,

    /// <summary>Whenever the other side can; plain TCP when it cannot.</summary>
    Opportunistic,

    /// <summary>Always: a connect that cannot be encrypted fails with <see cref="TcpcryptException"/>, and a listener refuses it (RST) or never hands it out.</summary>
    Required,
}

/// <summary>Whether the application on this side knows of tcpcrypt, that is, will look at the session ID (the application-aware bit).</summary>
public enum TcpcryptAwareness
{
    /// <summary>It does not.</summary>
    No,

    /// <summary>It does, and says so to the other side.</summary>
    Yes,

    /// <summary>It does, and wants encryption only with an application that does so too; with any other the connection is plain (or, under <see cref="TcpcryptPolicy.Required"/>, fails).</summary>
    Required,
}

/// <summary>Which role this side may take (TCP_CRYPT_CMODE). C owns the public key; S does the cheap part with RSA.</summary>
public enum TcpcryptCMode
{
    /// <summary>A listener is S; an opener takes either role.</summary>
    Default,

    /// <summary>C only, as a listener too.</summary>
    Always,

    /// <summary>S only, as an opener too.</summary>
    Never,

    /// <summary>As <see cref="Always"/>, and no session is resumed in which this side was S.</summary>
    AlwaysNoResumption,

    /// <summary>As <see cref="Never"/>, and no session is resumed in which this side was C.</summary>
    NeverNoResumption,
}

/// <summary>What a RST without a valid MAC does to an encrypted connection.</summary>
public enum UnauthenticatedReset
{
    /// <summary>One with the exact sequence number (RFC 5961) closes it, as in plain TCP: the default of draft-bittau-tcp-crypt.</summary>
    Accept,

    /// <summary>It is a hint: the peer is asked under MAC whether it is still there, and the connection closes when nothing is heard for at least 3 s.</summary>
    Verify,

    /// <summary>Nothing.</summary>
    Ignore,
}

/// <summary>How the attempt to encrypt a connection ended, and why it is plain if it is.</summary>
public enum TcpcryptOutcome
{
    /// <summary>The handshake is not over: seen in <see cref="IpStack.GetConnections"/> only, since connect and accept wait for its end.</summary>
    Pending,

    /// <summary>The connection is encrypted.</summary>
    Encrypted,

    /// <summary>The policy on this side is <see cref="TcpcryptPolicy.Disabled"/>.</summary>
    DisabledHere,

    /// <summary>The peer sent no CRYPT option, or something on the path removed it.</summary>
    PeerDidNotOffer,

    /// <summary>The peer knows tcpcrypt and does not want it (DECLINE): its policy is <see cref="TcpcryptPolicy.Disabled"/>, or its application insists on what ours does not have.</summary>
    PeerDeclined,

    /// <summary>No key exchange or cipher in common, or none whose messages fit into one segment.</summary>
    NoCommonAlgorithm,

    /// <summary>One side insists on an application that knows of tcpcrypt, the other has none.</summary>
    AwarenessMismatch,

    /// <summary>Both sides want the same role (<see cref="TcpcryptCMode"/>), or both opened at once.</summary>
    RoleConflict,

    /// <summary>Two SYNs with CRYPT stayed unanswered; the third went without.</summary>
    SynUnanswered,

    /// <summary>A handshake with this destination broke less than ten minutes ago, or nothing valid was ever heard on an encrypted connection to it; CRYPT was not offered this time.</summary>
    RememberedPlain,

    /// <summary>The peer's INIT1 or INIT2 was malformed, or the connection was reset during the handshake. It is not continued in plain, and the destination is <see cref="RememberedPlain"/>.</summary>
    HandshakeFailed,

    /// <summary>INIT1 was acknowledged without INIT2: the peer took it for data, or something on the path removed the option. As for <see cref="HandshakeFailed"/>, unless <see cref="TcpcryptOptions.AbortOnLostHandshake"/> is off.</summary>
    HandshakeLost,

    /// <summary>The handshake was not over ten seconds after TCP's own. As for <see cref="HandshakeFailed"/>.</summary>
    HandshakeTimedOut,

    /// <summary>In exceptions only: the connection was encrypted, and has reached <see cref="TcpcryptOptions.LegacyCipherByteLimit"/>.</summary>
    CipherSpent,

    /// <summary>
    /// The connection has ended by a time-out or reset, everything sent was encrypted, and nothing ever came that the keys could verify: the two sides' keys differ because the handshake was altered, or something on the path alters
    /// segments. tcpcrypt has no other confirmation of keys, so until then the connection is <see cref="Encrypted"/>. After a time-out the destination is <see cref="RememberedPlain"/>.
    /// </summary>
    KeysNotConfirmed,
}
