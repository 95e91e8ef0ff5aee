namespace Tcpcrypt.Crypt;

/// <summary>The option kinds of CRYPT and MAC ([TD-1]).</summary>
internal readonly record struct CryptOptionKinds(byte Crypt, byte Mac)
{
    /// <summary>What tcpcryptd uses.</summary>
    public static readonly CryptOptionKinds Default = new(69, 70);
}

/// <summary>The suboptions of CRYPT ([TD-5]).</summary>
[Flags]
internal enum Suboptions
{
    None = 0,
    Hello = 1 << 0,
    HelloAppSupport = 1 << 1,
    HelloAppMandatory = 1 << 2,
    Decline = 1 << 3,
    NextK2 = 1 << 4,
    NextK2AppSupport = 1 << 5,
    Init1 = 1 << 6,
    Init2 = 1 << 7,
    PkConf = 1 << 8,
    PkConfAppSupport = 1 << 9,
    Unknown = 1 << 10,
    SynCookie = 1 << 11,
    AckCookie = 1 << 12,
    SyncRequest = 1 << 13,
    SyncOk = 1 << 14,
    Rekey = 1 << 15,
    RekeyStream = 1 << 16,
    NextK1 = 1 << 17,

    /// <summary>Opcode 85 on a SYN ([TD-7], [TD-135]).</summary>
    NextK1AppSupport = 1 << 18,

    /// <summary>Opcode 85 elsewhere.</summary>
    InitializationVector = 1 << 19,

    /// <summary>An opcode of c0..ff that nobody knows ([TD-43]).</summary>
    UnknownMandatory = 1 << 20,

    AnyHello = Hello | HelloAppSupport | HelloAppMandatory,
    AnyNextK1 = NextK1 | NextK1AppSupport,
    AnyNextK2 = NextK2 | NextK2AppSupport,
    AnyPkConf = PkConf | PkConfAppSupport,
}

/// <summary>What the CRYPT and MAC options of one segment say. Spans point into the segment.</summary>
internal ref struct CryptOptions
{
    /// <summary>A well-formed CRYPT option is there; a malformed one counts as absent ([TD-8]).</summary>
    public bool HasCrypt { get; private set; }

    /// <summary>A MAC option is there, valid or not.</summary>
    public bool HasMac { get; private set; }

    /// <summary>Where the 16 octets of the tag are in the options; -1 without a MAC option or with one that cannot be valid ([TD-9]).</summary>
    public int TagOffset { get; private set; }

    /// <summary>All suboptions seen.</summary>
    public Suboptions Present { get; private set; }

    /// <summary>The content of PKCONF*: identifiers of 3 octets.</summary>
    public ReadOnlySpan<byte> PkConf { get; private set; }

    /// <summary>The opcodes in UNKNOWN.</summary>
    public ReadOnlySpan<byte> UnknownOpcodes { get; private set; }

    public ReadOnlySpan<byte> SynCookie { get; private set; }

    public ReadOnlySpan<byte> AckCookie { get; private set; }

    /// <summary>The nine octets of NEXTK1*.</summary>
    public ReadOnlySpan<byte> SessionIdentifier { get; private set; }

    public uint SyncRequestClock { get; private set; }

    public uint SyncOkClock { get; private set; }

    /// <summary>KeyLSB of REKEY or REKEYSTREAM.</summary>
    public byte KeyLsb { get; private set; }

    /// <summary>The first mandatory opcode that is unknown.</summary>
    public byte UnknownMandatoryOpcode { get; private set; }

    public readonly bool Has(Suboptions any) => (Present & any) != 0;

    /// <summary>Reads the options of a header, behind its first 20 octets.</summary>
    /// <param name="options">All options.</param>
    /// <param name="kinds">The option kinds in use.</param>
    /// <param name="isOpeningSyn">SYN without ACK: HELLO is implied ([TD-3]), 85 is NEXTK1-app-support ([TD-7]).</param>
    public static CryptOptions Parse(ReadOnlySpan<byte> options, CryptOptionKinds kinds, bool isOpeningSyn) => throw new NotImplementedException();
}

/// <summary>Writes suboptions, which are then the content of one CRYPT option.</summary>
internal ref struct SuboptionWriter(Span<byte> area)
{
    private readonly Span<byte> _area = area;

    public int Length { get; private set; }

    public readonly ReadOnlySpan<byte> Written => _area[..Length];

    /// <summary>A suboption that is its opcode alone (01..08).</summary>
    public void Opcode(byte opcode) => _area[Length++] = opcode;

    /// <summary>One of 40..7f: opcode, length, content.</summary>
    public void Variable(byte opcode, ReadOnlySpan<byte> content) => throw new NotImplementedException();

    /// <summary>One of 80..bf: opcode and content.</summary>
    public void Fixed(byte opcode, ReadOnlySpan<byte> content) => throw new NotImplementedException();

    /// <summary>SYNC_REQ, SYNC_OK.</summary>
    public void Clock(byte opcode, uint clock) => throw new NotImplementedException();
}

/// <summary>Opcodes of suboptions ([TD-5]).</summary>
internal static class Opcode
{
    public const byte Hello = 0x01;
    public const byte HelloAppSupport = 0x02;
    public const byte HelloAppMandatory = 0x03;
    public const byte Decline = 0x04;
    public const byte NextK2 = 0x05;
    public const byte NextK2AppSupport = 0x06;
    public const byte Init1 = 0x07;
    public const byte Init2 = 0x08;
    public const byte PkConf = 0x41;
    public const byte PkConfAppSupport = 0x42;
    public const byte Unknown = 0x43;
    public const byte SynCookie = 0x44;
    public const byte AckCookie = 0x45;
    public const byte SyncRequest = 0x80;
    public const byte SyncOk = 0x81;
    public const byte Rekey = 0x82;
    public const byte RekeyStream = 0x83;
    public const byte NextK1 = 0x84;

    /// <summary>On a SYN NEXTK1-app-support of dialect Reference, else IV ([TD-7]).</summary>
    public const byte NextK1AppSupport = 0x85;
}
