namespace Tcpcrypt.Wire;

/// <summary>Whose numbers: makes mixing our sequence numbers with the peer's a compile error.</summary>
internal interface ISeqSpace;

/// <summary>Numbers that count our octets: SND.*, SEG.ACK.</summary>
internal readonly struct Local : ISeqSpace;

/// <summary>Numbers that count the peer's octets: RCV.*, SEG.SEQ of what arrives.</summary>
internal readonly struct Remote : ISeqSpace;

/// <summary>A sequence number: arithmetic modulo 2^32, circular order (RFC 9293 §3.4). Not IComparable on purpose: never a key of a sorted collection.</summary>
internal readonly record struct Seq<TSpace>(uint Value)
    where TSpace : struct, ISeqSpace
{
    public static Seq<TSpace> operator +(Seq<TSpace> seq, uint octets) => new(unchecked(seq.Value + octets));
    public static Seq<TSpace> operator +(Seq<TSpace> seq, int octets) => new(unchecked(seq.Value + (uint)octets));
    public static Seq<TSpace> operator -(Seq<TSpace> seq, uint octets) => new(unchecked(seq.Value - octets));

    /// <summary>The signed distance; negative when <paramref name="left"/> is before <paramref name="right"/>. Never throws.</summary>
    public static int operator -(Seq<TSpace> left, Seq<TSpace> right) => unchecked((int)(left.Value - right.Value));

    public static bool operator <(Seq<TSpace> left, Seq<TSpace> right) => left - right < 0;
    public static bool operator >(Seq<TSpace> left, Seq<TSpace> right) => left - right > 0;
    public static bool operator <=(Seq<TSpace> left, Seq<TSpace> right) => left - right <= 0;
    public static bool operator >=(Seq<TSpace> left, Seq<TSpace> right) => left - right >= 0;

    public static Seq<TSpace> Max(Seq<TSpace> left, Seq<TSpace> right) => left > right ? left : right;
    public static Seq<TSpace> Min(Seq<TSpace> left, Seq<TSpace> right) => left < right ? left : right;

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
