using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Ip;

/// <summary>
/// Puts fragments together (RFC 791 §3.2, RFC 815). Everything is bounded: octets in all and for each source, sets of each source, fragments of a set, and
/// time; what is too much costs the oldest set, of the same source first.
/// </summary>
internal sealed class Reassembler(StackCore core) : DeadlineItem
{
    public const int MaxSetsPerSource = 64;

    /// <summary>What a set and a fragment cost beside their data, roughly, in octets: empty ones are not free.</summary>
    private const int SetOverhead = 512;
    private const int FragmentOverhead = 64;

    /// <summary>RFC 1858 §3.2.2: a first fragment of TCP holds the whole fixed header, so that filters see the flags.</summary>
    private const int TinyFragmentLength = TcpHeader.MinLength;

    private readonly Dictionary<FragmentKey, FragmentSet> _sets = new(new KeyedComparer(core.Random));
    private readonly Dictionary<Ipv4Address, FragmentSource> _sources = new(new KeyedComparer(core.Random));
    private readonly LinkedList<FragmentSet> _byAge = new();
    private PacketSlot? _spare;

    /// <summary>Octets charged to all sets.</summary>
    public int Memory { get; private set; }

    private int MemoryPerSource => Math.Max(core.Options.ReassemblyMemory / 8, Math.Min(core.Options.ReassemblyMemory, 128 * 1024));

    /// <summary>All sets live equally long, so the oldest expires first.</summary>
    public override TcpInstant Deadline => _byAge.First?.Value.Expires ?? TcpInstant.Never;

    /// <summary>Takes a fragment. When it completes its datagram, that comes back in a slot to be given to <see cref="Return"/>.</summary>
    public DropReason OnFragment(TcpInstant now, scoped in Ipv4Header fragment, out PacketSlot? datagram)
    {
        datagram = null;
        core.Counters.IpReasmReqds++;
        DropReason malformed = CheckAlone(fragment);
        if (malformed != DropReason.None)
        {
            return malformed;
        }

        FragmentKey key = new(fragment.Source, fragment.Destination, fragment.Identification, fragment.Protocol);
        if (!_sets.TryGetValue(key, out FragmentSet? set))
        {
            if (fragment.FragmentOffset + fragment.TotalLength > PacketSlot.MaxPacketLength)
            {
                return DropReason.FragmentTooLarge;
            }

            set = AddSet(now, key);
            if (set is null)
            {
                return DropReason.FragmentLimit;
            }
        }
        else if (set.IsRefused)
        {
            return set.RefusedFor;
        }

        DropReason reason = set.Check(fragment, out int index, out bool isDuplicate);
        if (isDuplicate)
        {
            return DropReason.None;
        }

        if (reason == DropReason.None && !TryCharge(now, set, fragment.Payload.Length + FragmentOverhead))
        {
            reason = DropReason.FragmentLimit;
        }

        if (reason != DropReason.None)
        {
            Refuse(set, reason);
            return reason;
        }

        set.Add(fragment, index);
        if (!set.IsComplete)
        {
            return DropReason.None;
        }

        Remove(set);
        datagram = Assemble(set);
        if (datagram is null)
        {
            core.Counters.IpReasmFails++;
            return DropReason.FragmentTooLarge;
        }

        core.Counters.IpReasmOKs++;
        return DropReason.None;
    }

    /// <summary>The slot has been dealt with.</summary>
    public void Return(PacketSlot datagram) => _spare = datagram;

    public override void OnDeadline(TcpInstant now)
    {
        while (_byAge.First?.Value is { } set && set.Expires <= now)
        {
            Remove(set);
            if (!set.IsRefused)
            {
                GiveUp(now, set, DropReason.FragmentTimeout);
            }
        }

        core.Deadlines.Update(this);
    }

    /// <summary>What is wrong with a fragment whatever else came.</summary>
    private static DropReason CheckAlone(scoped in Ipv4Header fragment)
    {
        int length = fragment.Payload.Length;
        if (length == 0 || (fragment.HasMoreFragments && length % 8 != 0))
        {
            return DropReason.FragmentMalformed;
        }

        bool isTiny = fragment.Protocol == IpProtocol.Tcp
            && ((fragment.FragmentOffset == 0 && length < TinyFragmentLength) || fragment.FragmentOffset == 8);
        return isTiny ? DropReason.FragmentTiny : DropReason.None;
    }

    private FragmentSet? AddSet(TcpInstant now, FragmentKey key)
    {
        if (!_sources.TryGetValue(key.Source, out FragmentSource? source))
        {
            source = new FragmentSource();
            _sources.Add(key.Source, source);
        }
        else if (source.Sets.Count >= MaxSetsPerSource)
        {
            Evict(now, source.Sets.First!.Value);
        }

        FragmentSet set = new(key, source, now + core.Options.ReassemblyTimeout);
        set.Age = _byAge.AddLast(set);
        set.AgeAtSource = source.Sets.AddLast(set);
        _sets.Add(key, set);
        core.Deadlines.Update(this);
        if (TryCharge(now, set, SetOverhead))
        {
            return set;
        }

        Remove(set);
        return null;
    }

    /// <summary>Makes room for a set's next octets, at the cost of older ones: the source's own as long as it has too much, then anybody's.</summary>
    private bool TryCharge(TcpInstant now, FragmentSet set, int octets)
    {
        FragmentSource source = set.Source;
        if (set.Charge + octets > MemoryPerSource)
        {
            return false;
        }

        while (source.Memory + octets > MemoryPerSource)
        {
            Evict(now, OldestBut(set, source.Sets));
        }

        while (Memory + octets > core.Options.ReassemblyMemory)
        {
            if (_byAge.Count == 1)
            {
                return false;
            }

            Evict(now, OldestBut(set, _byAge));
        }

        set.Charge += octets;
        source.Memory += octets;
        Memory += octets;
        return true;
    }

    private static FragmentSet OldestBut(FragmentSet kept, LinkedList<FragmentSet> sets) =>
        sets.First!.Value == kept ? sets.First.Next!.Value : sets.First.Value;

    private void Evict(TcpInstant now, FragmentSet set)
    {
        Remove(set);
        if (!set.IsRefused)
        {
            GiveUp(now, set, DropReason.FragmentLimit);
        }
    }

    private void Refuse(FragmentSet set, DropReason reason)
    {
        core.Counters.IpReasmFails++;
        set.Refuse(reason);
        Release(set, set.Charge - SetOverhead);
    }

    private void Remove(FragmentSet set)
    {
        FragmentSource source = set.Source;
        Release(set, set.Charge);
        _sets.Remove(set.Key);
        _byAge.Remove(set.Age!);
        source.Sets.Remove(set.AgeAtSource!);
        if (source.Sets.Count == 0)
        {
            _sources.Remove(set.Key.Source);
        }
    }

    private void Release(FragmentSet set, int octets)
    {
        set.Charge -= octets;
        set.Source.Memory -= octets;
        Memory -= octets;
    }

    /// <summary>Drops what came of a datagram. When time ran out and its first fragment is there, its sender is told (RFC 1122 §3.3.2).</summary>
    private void GiveUp(TcpInstant now, FragmentSet set, DropReason reason)
    {
        core.Counters.IpReasmFails++;
        if (set.FirstHeader.Length == 0)
        {
            core.Counters.CountDrop(reason);
            return;
        }

        PacketSlot slot = Rent();
        slot.Length = set.FirstHeader.Length + set.FirstData.Length;
        set.FirstHeader.CopyTo(slot.Packet);
        set.FirstData.CopyTo(slot.Packet[set.FirstHeader.Length..]);
        core.Drop(now, reason, slot.Packet);
        if (reason == DropReason.FragmentTimeout && Ipv4Header.TryParse(slot.Packet, out Ipv4Header first, verifyChecksum: false) == Ipv4ParseError.None)
        {
            core.Icmp.SendError(now, first, IcmpType.TimeExceeded, 1, 0);
        }

        Return(slot);
    }

    private PacketSlot? Assemble(FragmentSet set)
    {
        byte[] header = set.FirstHeader;
        int length = header.Length + set.DataLength;
        if (length > PacketSlot.MaxPacketLength)
        {
            return null;
        }

        PacketSlot slot = Rent();
        slot.Length = length;
        Span<byte> packet = slot.Packet;
        header.CopyTo(packet);
        set.CopyDataTo(packet[header.Length..]);
        byte typeOfService = set.IsCongestionExperienced ? (byte)(header[1] | (int)Ecn.Ce) : header[1];
        WriteWholeHeader(packet[..header.Length], length, typeOfService);
        return slot;
    }

    private static void WriteWholeHeader(Span<byte> header, int totalLength, byte typeOfService)
    {
        header[1] = typeOfService;
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], (ushort)totalLength);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(header[10..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(header[10..], InternetChecksum.Finish(InternetChecksum.Sum(header)));
    }

    private PacketSlot Rent()
    {
        // One is enough unless a datagram is completed while another is being delivered (looped-back replies).
        PacketSlot slot = _spare ?? new PacketSlot();
        _spare = null;
        slot.Clear();
        return slot;
    }
}
