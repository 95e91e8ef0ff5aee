using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Vectors;

/// <summary>The CRYPT options of all recorded packets, read and written again.</summary>
internal sealed class VectorOptionTests
{
    private static readonly Dictionary<string, (byte Opcode, Suboptions Flag)> s_names = new()
    {
        ["HELLO"] = (Opcode.Hello, Suboptions.Hello),
        ["HELLO-app-support"] = (Opcode.HelloAppSupport, Suboptions.HelloAppSupport),
        ["HELLO-app-mandatory"] = (Opcode.HelloAppMandatory, Suboptions.HelloAppMandatory),
        ["DECLINE"] = (Opcode.Decline, Suboptions.Decline),
        ["NEXTK2"] = (Opcode.NextK2, Suboptions.NextK2),
        ["NEXTK2-app-support"] = (Opcode.NextK2AppSupport, Suboptions.NextK2AppSupport),
        ["INIT1"] = (Opcode.Init1, Suboptions.Init1),
        ["INIT2"] = (Opcode.Init2, Suboptions.Init2),
        ["PKCONF"] = (Opcode.PkConf, Suboptions.PkConf),
        ["PKCONF-app-support"] = (Opcode.PkConfAppSupport, Suboptions.PkConfAppSupport),
        ["UNKNOWN"] = (Opcode.Unknown, Suboptions.Unknown),
        ["SYNCOOKIE"] = (Opcode.SynCookie, Suboptions.SynCookie),
        ["ACKCOOKIE"] = (Opcode.AckCookie, Suboptions.AckCookie),
        ["SYNC_REQ"] = (Opcode.SyncRequest, Suboptions.SyncRequest),
        ["SYNC_OK"] = (Opcode.SyncOk, Suboptions.SyncOk),
        ["REKEY"] = (Opcode.Rekey, Suboptions.Rekey),
        ["NEXTK1"] = (Opcode.NextK1, Suboptions.NextK1),
        ["NEXTK1-app-support"] = (Opcode.NextK1AppSupport, Suboptions.NextK1AppSupport),
    };

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Names))]
    public void The_capture_beside_a_vector_holds_the_same_packets(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        Assert.That(vector.Capture(), Is.EqualTo(vector.Packets.Select(static packet => packet.Ip)));
    }

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Names))]
    [Spec("TD-5")]
    [Spec("REF-1.1")]
    public void The_suboptions_of_every_packet_are_read_as_recorded(string connection)
    {
        int read = 0;
        foreach (VectorPacket packet in VectorConnection.Load(connection).Packets)
        {
            CryptOptions parsed = CryptOptions.Parse(packet.Options, CryptOptionKinds.Default, packet.IsOpeningSyn);
            Suboptions expected = Suboptions.None;
            foreach ((string name, byte[] content) in packet.Suboptions)
            {
                read++;
                expected |= s_names[name].Flag;
                Assert.That(ContentOf(parsed, name).ToArray(), Is.EqualTo(content), name);
            }

            Assert.That(parsed.HasCrypt, Is.EqualTo(packet.Suboptions.Any()));
            Suboptions implied = packet.IsOpeningSyn ? Suboptions.AnyHello : Suboptions.None;
            Assert.That(parsed.Present & ~implied, Is.EqualTo(expected & ~implied));
            Assert.That(parsed.Present & expected, Is.EqualTo(expected));
            Assert.That(parsed.TagOffset >= 0, Is.EqualTo(packet.Mac is not null && !IsDefective(packet) || packet.Note?.StartsWith("wrong MAC", StringComparison.Ordinal) == true));
        }

        Assert.That(read, Is.GreaterThanOrEqualTo(2));
    }

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Names))]
    [Spec("TD-5")]
    [Spec("REF-1.1")]
    public void Written_again_every_option_has_the_recorded_octets(string connection)
    {
        foreach (VectorPacket packet in VectorConnection.Load(connection).Packets.Where(static packet => packet.Suboptions.Any()))
        {
            SuboptionWriter writer = new(new byte[38]);
            foreach ((string name, byte[] content) in packet.Suboptions)
            {
                Write(ref writer, s_names[name].Opcode, content);
            }

            OptionWalk walk = new(packet.Options);
            while (walk.MoveNext() && walk.Kind != CryptOptionKinds.Default.Crypt)
            {
            }

            // Openers say HELLO by an empty option.
            byte[] recorded = walk.Content is [] && packet.IsOpeningSyn ? [Opcode.Hello] : walk.Content.ToArray();
            Assert.That(writer.Written.ToArray(), Is.EqualTo(recorded));
        }
    }

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Full))]
    [Spec("TD-56")]
    [Spec("TD-132")]
    public void The_list_of_key_exchanges_is_written_as_recorded(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        byte[] expected = vector.Secret("pub_cipher_list");
        TcpcryptKeyExchange[] keyExchanges = vector.Name == "reference/all" ? [TcpcryptKeyExchange.OaepRsa, TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521] : [vector.PublicKeyCipher];
        byte[] list = new byte[PkConfList.MaxLength];
        int length = PkConfList.Write(keyExchanges, vector.Dialect == TcpcryptDialect.Draft, list);
        Assert.That(list[..length], Is.EqualTo(expected));
    }

    private static bool IsDefective(VectorPacket packet) => packet.Note?.StartsWith("reference artefact", StringComparison.Ordinal) == true;

    private static ReadOnlySpan<byte> ContentOf(CryptOptions parsed, string name) => name switch
    {
        "PKCONF" or "PKCONF-app-support" => parsed.PkConf,
        "UNKNOWN" => parsed.UnknownOpcodes,
        "SYNCOOKIE" => parsed.SynCookie,
        "ACKCOOKIE" => parsed.AckCookie,
        "NEXTK1" or "NEXTK1-app-support" => parsed.SessionIdentifier,
        "SYNC_REQ" => BigEndian(parsed.SyncRequestClock),
        "SYNC_OK" => BigEndian(parsed.SyncOkClock),
        "REKEY" => new[] { parsed.KeyLsb },
        _ => [],
    };

    private static byte[] BigEndian(uint value) => [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];

    private static void Write(ref SuboptionWriter writer, byte opcode, byte[] content)
    {
        switch (opcode)
        {
            case < Opcode.FirstVariable:
                writer.Opcode(opcode);
                break;
            case < Opcode.FirstFixed:
                writer.Variable(opcode, content);
                break;
            case Opcode.SyncRequest or Opcode.SyncOk:
                writer.Clock(opcode, (uint)((content[0] << 24) | (content[1] << 16) | (content[2] << 8) | content[3]));
                break;
            default:
                writer.Fixed(opcode, content);
                break;
        }
    }
}
