using System.Buffers.Binary;

namespace Tcpcrypt.Crypt;

/// <summary>Writes suboptions, which are then the content of one CRYPT option.</summary>
internal ref struct SuboptionWriter(Span<byte> area)
{
    private readonly Span<byte> _area = area;

    public int Length { get; private set; }

    public readonly ReadOnlySpan<byte> Written => _area[..Length];

    /// <summary>A suboption that is its opcode alone (01..08).</summary>
    public void Opcode(byte opcode) => _area[Length++] = opcode;

    /// <summary>One of 40..7f: opcode, length, content.</summary>
    public void Variable(byte opcode, ReadOnlySpan<byte> content)
    {
        content.CopyTo(_area[(Length + 2)..]);
        _area[Length] = opcode;
        _area[Length + 1] = (byte)(2 + content.Length);
        Length += 2 + content.Length;
    }

    /// <summary>One of 80..bf: opcode and content.</summary>
    public void Fixed(byte opcode, ReadOnlySpan<byte> content)
    {
        content.CopyTo(_area[(Length + 1)..]);
        _area[Length] = opcode;
        Length += 1 + content.Length;
    }

    /// <summary>SYNC_REQ, SYNC_OK.</summary>
    public void Clock(byte opcode, uint clock)
    {
        BinaryPrimitives.WriteUInt32BigEndian(_area[(Length + 1)..], clock);
        _area[Length] = opcode;
        Length += 1 + sizeof(uint);
    }
}
