namespace Tcpcrypt;

/// <summary>Whether connections find out for themselves how large a packet the path takes (RFC 4821), since ICMP may be filtered.</summary>
public enum PathMtuProbing
{
    /// <summary>Never: only ICMP tells (RFC 1191).</summary>
    Off,

    /// <summary>When full-sized segments do not get through: after <see cref="TcpStackOptions.R1Retransmissions"/> time-outs the segments become smaller, and larger ones are tried later.</summary>
    OnBlackHole,

    /// <summary>From the start: connections begin with small segments and search upwards.</summary>
    Always,
}
