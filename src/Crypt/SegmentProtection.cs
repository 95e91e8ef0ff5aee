namespace Tcpcrypt.Crypt;

/// <summary>
/// Encryption and authentication of the segments of one connection, both directions, all generations of keys that are alive ([TD-74..80]; reference spec 6).
/// Offsets are 64-bit distances from the sender's ISN; dialect Reference computes its own from the header and the ISNs.
/// </summary>
internal sealed class SegmentProtection : IDisposable
{
    /// <param name="session">Gives dialect, role, cipher and ss[i]; the keys are derived at once and the session is not kept.</param>
    /// <param name="localIsn">ISS.</param>
    /// <param name="remoteIsn">IRS.</param>
    public SegmentProtection(TcpcryptSession session, uint localIsn, uint remoteIsn) => throw new NotImplementedException();

    /// <summary>Encrypts the payload in place and writes the tag.</summary>
    /// <param name="segment">The whole TCP segment: header, options with the MAC option in place, plaintext.</param>
    /// <param name="tagOffset">Where the tag is in the segment.</param>
    /// <param name="sequence">Offset of the sequence number.</param>
    /// <param name="acknowledgment">Offset of the acknowledgment number; ignored without the ACK flag.</param>
    /// <param name="generation">The generation of the keys; 0 in dialect Reference.</param>
    public void Seal(Span<byte> segment, int tagOffset, ulong sequence, ulong acknowledgment, long generation) => throw new NotImplementedException();

    /// <summary>Checks the tag with the receive keys of a generation and decrypts the payload in place. False, and nothing changed, when the tag is wrong.</summary>
    public bool TryOpen(Span<byte> segment, int tagOffset, ulong sequence, ulong acknowledgment, long generation) => throw new NotImplementedException();

    /// <summary>Wipes the send keys below a generation ([TD-98]).</summary>
    public void ForgetSend(long below) => throw new NotImplementedException();

    /// <summary>Wipes the receive keys below a generation ([TD-98]).</summary>
    public void ForgetReceive(long below) => throw new NotImplementedException();

    public void Dispose() => throw new NotImplementedException();
}
