using Tcpcrypt.Core;

namespace Tcpcrypt.Ip;

/// <summary>
/// The fragments of one datagram, in order. Overlaps are refused (RFC 5722 §4, which IPv4 does well to share), so the holes of RFC 815 need no list: the
/// datagram is complete when the octets held add up to its length.
/// </summary>
internal sealed class FragmentSet(FragmentKey key, FragmentSource source, TcpInstant expires)
{
    /// <summary>Fragments of one datagram: the longest datagram fits at an MTU of 576.</summary>
    public const int MaxFragments = 128;

    private Fragment[] _fragments = new Fragment[4];
    private int _count;
    private int _received;
    private int _end = -1;
    private int _ecnSeen;

    public FragmentKey Key { get; } = key;

    /// <summary>Who sent it, with the other datagrams of his.</summary>
    public FragmentSource Source { get; } = source;

    public TcpInstant Expires { get; } = expires;

    /// <summary>Octets that the set is charged with.</summary>
    public int Charge { get; set; }

    /// <summary>Why the set was refused: it holds nothing more, and swallows what still comes until it expires.</summary>
    public DropReason RefusedFor { get; private set; }

    public bool IsRefused => RefusedFor != DropReason.None;

    /// <summary>The IP header of the fragment at offset 0, options included; empty until that came.</summary>
    public byte[] FirstHeader { get; private set; } = [];

    /// <summary>Where this set stands among all, and among those of its source, oldest first.</summary>
    public LinkedListNode<FragmentSet>? Age { get; set; }

    public LinkedListNode<FragmentSet>? AgeAtSource { get; set; }

    public bool IsComplete => _received == _end;

    public int DataLength => _received;

    /// <summary>True when a fragment said that it met congestion: the whole did (RFC 3168 §5.3).</summary>
    public bool IsCongestionExperienced => (_ecnSeen & (1 << (int)Wire.Ecn.Ce)) != 0;

    /// <summary>Looks whether a fragment fits in, without taking it. <see cref="DropReason.None"/> with <paramref name="isDuplicate"/> set: it is here already.</summary>
    public DropReason Check(scoped in Wire.Ipv4Header fragment, out int index, out bool isDuplicate)
    {
        ReadOnlySpan<byte> data = fragment.Payload;
        int start = fragment.FragmentOffset;
        int end = start + data.Length;
        bool isLast = !fragment.HasMoreFragments;
        index = IndexOf(start);
        isDuplicate = index < _count && _fragments[index] is var held && held.Start == start && held.End == end
            && isLast == (end == _end) && data.SequenceEqual(held.Data);
        if (isDuplicate)
        {
            return DropReason.None;
        }

        if (end + fragment.HeaderLength > PacketSlot.MaxPacketLength)
        {
            return DropReason.FragmentTooLarge;
        }

        bool overlaps = (index > 0 && _fragments[index - 1].End > start) || (index < _count && _fragments[index].Start < end);
        bool conflicts = isLast ? _end >= 0 || (_count > 0 && _fragments[_count - 1].End > end) : _end >= 0 && end >= _end;
        if (overlaps || conflicts)
        {
            return DropReason.FragmentOverlap;
        }

        // RFC 3168 §5.3: congestion experienced cannot be told to a transport that is not ECN-capable.
        int ecnSeen = _ecnSeen | (1 << (int)fragment.Ecn);
        if ((ecnSeen & (1 << (int)Wire.Ecn.Ce)) != 0 && (ecnSeen & (1 << (int)Wire.Ecn.NotEct)) != 0)
        {
            return DropReason.FragmentEcnMismatch;
        }

        return _count >= MaxFragments ? DropReason.FragmentLimit : DropReason.None;
    }

    /// <summary>Takes a copy of a fragment that <see cref="Check"/> accepted, at the index it gave.</summary>
    public void Add(scoped in Wire.Ipv4Header fragment, int index)
    {
        if (_count == _fragments.Length)
        {
            Array.Resize(ref _fragments, _count * 2);
        }

        int start = fragment.FragmentOffset;
        byte[] data = fragment.Payload.ToArray();
        _fragments.AsSpan(index, _count - index).CopyTo(_fragments.AsSpan(index + 1));
        _fragments[index] = new Fragment(start, data);
        _count++;
        _received += data.Length;
        _ecnSeen |= 1 << (int)fragment.Ecn;
        if (start == 0)
        {
            FirstHeader = fragment.Octets[..fragment.HeaderLength].ToArray();
        }

        if (!fragment.HasMoreFragments)
        {
            _end = start + data.Length;
        }
    }

    /// <summary>The octets of the fragment at offset 0, or none.</summary>
    public ReadOnlySpan<byte> FirstData => FirstHeader.Length > 0 ? _fragments[0].Data : default;

    /// <summary>Copies the complete datagram's data.</summary>
    public void CopyDataTo(Span<byte> destination)
    {
        for (int i = 0; i < _count; i++)
        {
            _fragments[i].Data.CopyTo(destination[_fragments[i].Start..]);
        }
    }

    public void Refuse(DropReason reason)
    {
        RefusedFor = reason;
        _fragments = [];
        _count = 0;
        FirstHeader = [];
    }

    /// <summary>Index of the first fragment that starts at or behind <paramref name="start"/>.</summary>
    private int IndexOf(int start)
    {
        int low = 0;
        int high = _count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_fragments[middle].Start < start)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }

    private readonly record struct Fragment(int Start, byte[] Data)
    {
        public int End => Start + Data.Length;
    }
}

/// <summary>What one sender's incomplete datagrams hold.</summary>
internal sealed class FragmentSource
{
    /// <summary>The oldest first.</summary>
    public LinkedList<FragmentSet> Sets { get; } = new();

    public int Memory { get; set; }
}
