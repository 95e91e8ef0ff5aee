using Tcpcrypt.Scripts.Language;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>What the runner knows about one 4-tuple: how the script's numbers translate to those on the wire.</summary>
/// <remarks>The peer's sequence numbers are the script's own, as they stand. Those of the stack are relative: the script's SYN number stands for the live one.</remarks>
internal sealed class Connection(ushort localPort, ushort remotePort)
{
    private readonly Dictionary<uint, uint> _timestamps = [];
    private uint _isnOffset;
    private bool _isIsnKnown;

    public ushort LocalPort { get; } = localPort;

    public ushort RemotePort { get; } = remotePort;

    /// <summary>The peer's SYN: data starts behind it.</summary>
    public uint RemoteIsn { get; private set; }

    /// <summary>The stack's SYN in script numbers.</summary>
    public uint LocalIsn { get; private set; }

    /// <summary>A new incarnation may come: the next SYN of the stack sets the numbers anew. Otherwise its SYNs must repeat the first.</summary>
    public void Renew() => _isIsnKnown = false;

    /// <summary>The peer sent a SYN. One without ACK may start a new incarnation, if the stack answers it with SYN,ACK.</summary>
    public void OnRemoteSyn(uint sequence, bool isAck)
    {
        if (isAck)
        {
            RemoteIsn = sequence;
        }
        else if (RemoteIsn != sequence)
        {
            Renew();
        }
    }

    /// <summary>The stack sent a SYN with this live number where the script expects that one.</summary>
    public void OnLocalSyn(uint live, uint script, uint? ack)
    {
        if (!_isIsnKnown)
        {
            _isnOffset = live - script;
            LocalIsn = script;
            _isIsnKnown = true;
            _timestamps.Clear();
        }

        if (ack is { } next)
        {
            RemoteIsn = next - 1;
        }
    }

    public uint ToLive(uint script) => script + _isnOffset;

    public uint ToScript(uint live) => live - _isnOffset;

    /// <summary>Remembers which live timestamp a script's one stands for; false when it stood for another before.</summary>
    public bool TryMapTimestamp(uint script, uint live) => _timestamps.TryAdd(script, live) || _timestamps[script] == live;

    /// <summary>By how many ticks a live timestamp is ahead of where the script has it, counted from the first of both.</summary>
    public long TimestampDeviation(uint script, uint live) =>
        _timestamps.Count == 0 ? 0 : unchecked((int)(live - _timestamps.First().Value)) - (long)unchecked((int)(script - _timestamps.First().Key));

    /// <summary>A live timestamp in the script's terms, when it stands for one.</summary>
    public uint? TimestampToScript(uint live)
    {
        foreach ((uint script, uint known) in _timestamps)
        {
            if (known == live)
            {
                return script;
            }
        }

        return null;
    }

    /// <summary>The live timestamp for one that the script's peer echoes. One that was never seen is counted from the first (1 per millisecond).</summary>
    public uint TimestampToLive(uint script)
    {
        if (script == 0 || _timestamps.Count == 0)
        {
            return script;
        }

        if (_timestamps.TryGetValue(script, out uint live))
        {
            return live;
        }

        KeyValuePair<uint, uint> first = _timestamps.First();
        return first.Value + (script - first.Key);
    }
}

/// <summary>The octet at each position of every stream: what the runner writes and expects, so that misplaced data shows.</summary>
internal static class Pattern
{
    public static byte At(long offset) => (byte)((offset * 7) + ((offset >> 8) * 13) + 1);

    public static void Fill(Span<byte> octets, long offset)
    {
        for (int i = 0; i < octets.Length; i++)
        {
            octets[i] = At(offset + i);
        }
    }

    /// <summary>Index of the first octet that is not the pattern's, or -1.</summary>
    public static int FindDifference(ReadOnlySpan<byte> octets, long offset)
    {
        for (int i = 0; i < octets.Length; i++)
        {
            if (octets[i] != At(offset + i))
            {
                return i;
            }
        }

        return -1;
    }
}
