using System.Buffers.Binary;
using System.Numerics;

namespace Tcpcrypt.Crypt;

/// <summary>What the CRYPT and MAC options of one segment say. Spans point into the segment.</summary>
internal ref struct CryptOptions
{
    /// <summary>The whole MAC option: kind, length and 16 octets of tag ([TD-9]).</summary>
    public const int MacLength = 2 + TagLength;

    public const int TagLength = 16;

    /// <summary>A well-formed CRYPT option is there; a malformed one counts as absent ([TD-8]), and so do all when one of several is malformed: together they are one ([TD-2]).</summary>
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

    /// <summary>The highest clock of the segment.</summary>
    public uint SyncRequestClock { get; private set; }

    /// <summary>The highest clock of the segment.</summary>
    public uint SyncOkClock { get; private set; }

    /// <summary>KeyLSB of REKEY or REKEYSTREAM.</summary>
    public byte KeyLsb { get; private set; }

    /// <summary>Labels of different generations in one segment: to be dropped ([TD-99]).</summary>
    public bool HasKeyLsbConflict { get; private set; }

    /// <summary>The mandatory opcodes that are unknown: bit n stands for c0 + n. Several take several CRYPT options, because what follows one cannot be read.</summary>
    public ulong UnknownMandatory { get; private set; }

    /// <summary>The opcodes of a set as in <see cref="UnknownMandatory"/>, ascending.</summary>
    public static byte[] OpcodesOf(ulong mandatory)
    {
        byte[] opcodes = new byte[BitOperations.PopCount(mandatory)];
        for (int i = 0; i < opcodes.Length; i++, mandatory &= mandatory - 1)
        {
            opcodes[i] = (byte)(Opcode.FirstMandatory + BitOperations.TrailingZeroCount(mandatory));
        }

        return opcodes;
    }

    public readonly bool Has(Suboptions any) => (Present & any) != 0;

    /// <summary>
    /// Reads the options of a header, behind its first 20 octets. Of a suboption that is there twice the first counts, but of clocks the highest.
    /// </summary>
    /// <param name="options">All options.</param>
    /// <param name="kinds">The option kinds in use.</param>
    /// <param name="isOpeningSyn">SYN without ACK: HELLO is implied ([TD-3]), 85 is NEXTK1-app-support ([TD-7]).</param>
    public static CryptOptions Parse(ReadOnlySpan<byte> options, CryptOptionKinds kinds, bool isOpeningSyn)
    {
        CryptOptions result = new() { TagOffset = -1 };
        bool isMalformed = false;
        OptionWalk walk = new(options);
        while (walk.MoveNext())
        {
            if (walk.Kind == kinds.Mac)
            {
                // Two are as invalid as one of another length ([TD-9]).
                result.TagOffset = !result.HasMac && walk.Length == MacLength ? walk.Start + 2 : -1;
                result.HasMac = true;
            }
            else if (walk.Kind == kinds.Crypt)
            {
                result.HasCrypt = true;
                isMalformed |= !result.TryReadSuboptions(walk.Content, isOpeningSyn);
            }
        }

        if (walk.IsMalformed && walk.Kind == kinds.Mac)
        {
            result.HasMac = true;
            result.TagOffset = -1;
        }

        if (isMalformed || (walk.IsMalformed && walk.Kind == kinds.Crypt))
        {
            return new CryptOptions { HasMac = result.HasMac, TagOffset = result.TagOffset };
        }

        if (isOpeningSyn && result.HasCrypt && !result.Has(Suboptions.AnyHello))
        {
            result.Present |= result.Has(Suboptions.NextK1AppSupport) ? Suboptions.HelloAppSupport : Suboptions.Hello;
        }

        return result;
    }

    /// <summary>One CRYPT option; false when it is malformed ([TD-8]).</summary>
    private bool TryReadSuboptions(ReadOnlySpan<byte> rest, bool isOpeningSyn)
    {
        while (rest.Length > 0)
        {
            byte opcode = rest[0];
            int length;
            if (opcode < Opcode.FirstVariable)
            {
                length = 1;
                Present |= SuboptionOf(opcode);
            }
            else if (opcode < Opcode.FirstFixed)
            {
                length = rest.Length > 1 ? rest[1] : 0;
                if (length < 2 || length > rest.Length || !TryReadVariable(opcode, rest[2..length]))
                {
                    return false;
                }
            }
            else
            {
                length = FixedLength(opcode, isOpeningSyn);
                if (length == 0)
                {
                    SkipUnreadable(opcode);
                    return true;
                }

                if (length > rest.Length)
                {
                    return false;
                }

                ReadFixed(opcode, rest[1..length]);
            }

            rest = rest[length..];
        }

        return true;
    }

    private bool TryReadVariable(byte opcode, ReadOnlySpan<byte> content)
    {
        switch (opcode)
        {
            case Opcode.PkConf or Opcode.PkConfAppSupport:
                if (content.Length == 0 || content.Length % PkConfList.EntryLength != 0)
                {
                    return false;
                }

                PkConf = Has(Suboptions.AnyPkConf) ? PkConf : content;
                Present |= Has(Suboptions.AnyPkConf) ? Suboptions.None : opcode == Opcode.PkConf ? Suboptions.PkConf : Suboptions.PkConfAppSupport;
                break;
            case Opcode.Unknown:
                UnknownOpcodes = Has(Suboptions.Unknown) ? UnknownOpcodes : content;
                Present |= Suboptions.Unknown;
                break;
            case Opcode.SynCookie:
                SynCookie = Has(Suboptions.SynCookie) ? SynCookie : content;
                Present |= Suboptions.SynCookie;
                break;
            case Opcode.AckCookie:
                AckCookie = Has(Suboptions.AckCookie) ? AckCookie : content;
                Present |= Suboptions.AckCookie;
                break;
            default:
                break;
        }

        return true;
    }

    private void ReadFixed(byte opcode, ReadOnlySpan<byte> content)
    {
        switch (opcode)
        {
            case Opcode.SyncRequest:
                SyncRequestClock = Math.Max(SyncRequestClock, BinaryPrimitives.ReadUInt32BigEndian(content));
                Present |= Suboptions.SyncRequest;
                break;
            case Opcode.SyncOk:
                SyncOkClock = Math.Max(SyncOkClock, BinaryPrimitives.ReadUInt32BigEndian(content));
                Present |= Suboptions.SyncOk;
                break;
            case Opcode.Rekey or Opcode.RekeyStream:
                bool isFirst = !Has(Suboptions.Rekey | Suboptions.RekeyStream);
                HasKeyLsbConflict |= !isFirst && KeyLsb != content[0];
                KeyLsb = isFirst ? content[0] : KeyLsb;
                Present |= opcode == Opcode.Rekey ? Suboptions.Rekey : Suboptions.RekeyStream;
                break;
            default:
                SessionIdentifier = Has(Suboptions.AnyNextK1) ? SessionIdentifier : content;
                Present |= Has(Suboptions.AnyNextK1) ? Suboptions.None : opcode == Opcode.NextK1 ? Suboptions.NextK1 : Suboptions.NextK1AppSupport;
                break;
        }
    }

    /// <summary>What the rest of the option means is not known: 80..bf may be ignored, c0..ff may not ([TD-4]). An IV is of no use to our ciphers ([TD-7]).</summary>
    private void SkipUnreadable(byte opcode)
    {
        if (opcode >= Opcode.FirstMandatory)
        {
            UnknownMandatory |= 1UL << (opcode - Opcode.FirstMandatory);
            Present |= Suboptions.UnknownMandatory;
        }
        else if (opcode == Opcode.NextK1AppSupport)
        {
            Present |= Suboptions.InitializationVector;
        }
    }

    /// <summary>The whole suboption; 0 when it cannot be known.</summary>
    private static int FixedLength(byte opcode, bool isOpeningSyn) => opcode switch
    {
        Opcode.SyncRequest or Opcode.SyncOk => 5,
        Opcode.Rekey => 2,
        Opcode.RekeyStream => 6,
        Opcode.NextK1 => 1 + TcpcryptSession.IdentifierLength,
        Opcode.NextK1AppSupport when isOpeningSyn => 1 + TcpcryptSession.IdentifierLength,
        _ => 0,
    };

    private static Suboptions SuboptionOf(byte opcode) => opcode switch
    {
        Opcode.Hello => Suboptions.Hello,
        Opcode.HelloAppSupport => Suboptions.HelloAppSupport,
        Opcode.HelloAppMandatory => Suboptions.HelloAppMandatory,
        Opcode.Decline => Suboptions.Decline,
        Opcode.NextK2 => Suboptions.NextK2,
        Opcode.NextK2AppSupport => Suboptions.NextK2AppSupport,
        Opcode.Init1 => Suboptions.Init1,
        Opcode.Init2 => Suboptions.Init2,
        _ => Suboptions.None,
    };
}
