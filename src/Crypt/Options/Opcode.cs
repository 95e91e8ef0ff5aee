namespace Tcpcrypt.Crypt;

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

    /// <summary>From here on a second octet tells the length ([TD-4]).</summary>
    public const byte FirstVariable = 0x40;

    /// <summary>From here on only who knows the opcode knows the length.</summary>
    public const byte FirstFixed = 0x80;

    /// <summary>From here on an unknown opcode must not be ignored.</summary>
    public const byte FirstMandatory = 0xc0;
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
