using System.Text.Json;
using NUnit.Framework;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tests.Provider;

namespace Tcpcrypt.Tests.Vectors;

/// <summary>Every recorded segment with a tag, sealed and opened.</summary>
[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class VectorSegmentTests(string name)
{
    private CryptoProvider _provider = null!;

    [OneTimeSetUp]
    public void SetUp() => _provider = Providers.Get(name);

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Encrypted))]
    [Spec("TD-75")]
    [Spec("TD-76")]
    [Spec("TD-77")]
    [Spec("REF-6.1")]
    [Spec("REF-6.3")]
    public void What_the_tag_covers_and_both_halves_are_as_recorded(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        WireDialect dialect = WireDialect.Of(vector.Dialect);
        bool isDraft = vector.Dialect == TcpcryptDialect.Draft;
        foreach (VectorPacket packet in Tagged(vector))
        {
            JsonElement expected = packet.Mac!.Value;
            JsonElement derived = vector.Generation(packet.Generation);
            string role = vector.SenderOf(packet) == TcpcryptRole.C ? "c" : "s";
            Assert.That(role, Is.EqualTo(expected.GetProperty("role").GetString()));

            byte[] segment = packet.Segment;
            SegmentNumbers numbers = Number(vector, packet);
            RecordingMac recording = new();
            byte[] half = new byte[16];
            Assert.That(dialect.TryAuthenticate(recording, segment, packet.HeaderLength, TagOffset(packet), numbers.Sequence, half), Is.True);
            Assert.That(isDraft ? recording.Second : recording.First, Is.EqualTo(isDraft ? expected.Hex("assoc") : (byte[])[.. expected.Hex("m"), .. expected.Hex("options")]));
            Assert.That(isDraft ? recording.First : recording.Second, Is.EqualTo(packet.Data));

            using MacKey macKey = vector.Cipher == TcpcryptCipher.Aes128Cmac ? _provider.CreateCmac(derived.Hex(role + "_mac")) : _provider.CreateHmacSha256(derived.Hex(role + "_mac"));
            Assert.That(dialect.TryAuthenticate(macKey, segment, packet.HeaderLength, TagOffset(packet), numbers.Sequence, half), Is.True);
            Assert.That(half, Is.EqualTo(expected.Hex(isDraft ? "mac1" : "mac_m")));

            byte[] block = new byte[16];
            dialect.WriteAcknowledgmentBlock(numbers.Acknowledgment, block);
            byte[] number = expected.Hex(isDraft ? "up" : "a");
            Assert.That(block, Is.EqualTo(isDraft ? [.. new byte[8], .. number] : (byte[])[.. number, .. new byte[8]]));
            using AesKey acknowledgmentKey = _provider.CreateAes(derived.Hex(role + "_ack").AsSpan(0, 16));
            acknowledgmentKey.EncryptBlock(block, half);
            Assert.That(half, Is.EqualTo(expected.Hex(isDraft ? "mac2" : "mac_a")));
        }
    }

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Encrypted))]
    [Spec("TD-74")]
    [Spec("TD-77")]
    [Spec("TD-93")]
    [Spec("TD-106")]
    [Spec("REF-6.2")]
    [Spec("REF-6.3")]
    public void Every_segment_opens_at_its_receiver(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        using SegmentProtection atC = vector.Protection(_provider, TcpcryptRole.C);
        using SegmentProtection atS = vector.Protection(_provider, TcpcryptRole.S);
        foreach (VectorPacket packet in Tagged(vector))
        {
            SegmentProtection receiver = vector.SenderOf(packet) == TcpcryptRole.C ? atS : atC;
            byte[] segment = packet.Segment;
            Assert.That(receiver.TryOpen(segment, TagOffset(packet), vector.SequenceOf(packet), vector.AcknowledgmentOf(packet), packet.Generation), Is.True);
            Assert.That(segment[packet.HeaderLength..], Is.EqualTo(packet.Plaintext));
            Assert.That(segment[..packet.HeaderLength], Is.EqualTo(packet.Segment[..packet.HeaderLength]));
        }
    }

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Encrypted))]
    [Spec("TD-74")]
    [Spec("TD-77")]
    [Spec("REF-6.2")]
    [Spec("REF-6.3")]
    public void Sealed_by_its_sender_every_segment_has_the_recorded_octets(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        using SegmentProtection atC = vector.Protection(_provider, TcpcryptRole.C);
        using SegmentProtection atS = vector.Protection(_provider, TcpcryptRole.S);
        foreach (VectorPacket packet in Tagged(vector))
        {
            SegmentProtection sender = vector.SenderOf(packet) == TcpcryptRole.C ? atC : atS;
            byte[] segment = [.. packet.Segment[..packet.HeaderLength], .. packet.Plaintext];
            segment.AsSpan(TagOffset(packet), 16).Fill(0xa5);
            sender.Seal(segment, TagOffset(packet), vector.SequenceOf(packet), vector.AcknowledgmentOf(packet), packet.Generation);
            Assert.That(segment, Is.EqualTo(packet.Segment));
        }
    }

    [Test]
    [Spec("TD-83")]
    [Spec("TD-121")]
    public void The_recorded_wrong_tag_does_not_open_and_a_replay_does()
    {
        VectorConnection vector = VectorConnection.Load("draft/bad");
        using SegmentProtection atS = vector.Protection(_provider, TcpcryptRole.S);
        VectorPacket wrong = vector.Packets.Single(static packet => packet.Note?.StartsWith("wrong MAC", StringComparison.Ordinal) == true);
        byte[] segment = wrong.Segment;
        Assert.That(atS.TryOpen(segment, TagOffset(wrong), vector.SequenceOf(wrong), vector.AcknowledgmentOf(wrong), 0), Is.False);
        Assert.That(segment, Is.EqualTo(wrong.Segment));

        VectorPacket genuine = Tagged(vector).Last(packet => vector.SenderOf(packet) == TcpcryptRole.C);
        for (int time = 0; time < 2; time++)
        {
            Assert.That(atS.TryOpen(genuine.Segment, TagOffset(genuine), vector.SequenceOf(genuine), vector.AcknowledgmentOf(genuine), 0), Is.True);
        }
    }

    [Test]
    [Spec("REF-6.4")]
    [Spec("REF-1.2")]
    public void The_daemons_defective_init2_looks_unauthenticated_though_its_tag_is_right()
    {
        VectorConnection vector = VectorConnection.Load("reference/i2r");
        using SegmentProtection atC = vector.Protection(_provider, TcpcryptRole.C);
        VectorPacket[] defective = [.. vector.Packets.Where(IsDefective)];
        Assert.That(defective, Is.Not.Empty);
        foreach (VectorPacket packet in defective)
        {
            const int TagBehindEol = 20 + 3 + 1 + 2;
            byte[] segment = packet.Segment;
            Assert.That(CryptOptions.Parse(packet.Options, CryptOptionKinds.Default, isOpeningSyn: false).HasMac, Is.False);
            Assert.That(atC.TryOpen(segment, TagBehindEol, 0, 0, 0), Is.False);

            // With a NOP, which is as little covered as EOL, in its place, the tag verifies: only the parser keeps it out.
            segment[23] = 1;
            Assert.That(atC.TryOpen(segment, TagBehindEol, 0, 0, 0), Is.True);
            Assert.That(segment[packet.HeaderLength..], Is.EqualTo(packet.Plaintext));
        }
    }

    [Test]
    [Spec("TD-78")]
    public void Options_are_covered_as_they_stand_but_for_the_unprotected_kinds()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("draft", "options"))
        {
            byte[] options = entry.Hex("options");
            byte[] segment = [.. new byte[20], .. options];

            // The vector without kind 70 has its 16 octets in kind 19.
            int tagOffset = 20 + 2 + Math.Max(Find(options, 70), Find(options, 19));
            RecordingMac recording = new();
            bool isDone = WireDialect.Draft.TryAuthenticate(recording, segment, segment.Length, tagOffset, 1, new byte[16]);
            Assert.That(isDone, Is.EqualTo(options.Length > 0));
            Assert.That(isDone ? recording.Second[20..] : [], Is.EqualTo(entry.Hex("assoc_options")));
        }

        static int Find(byte[] options, byte kind)
        {
            OptionWalk walk = new(options);
            while (walk.MoveNext())
            {
                if (walk.Kind == kind && walk.Length == CryptOptions.MacLength)
                {
                    return walk.Start;
                }
            }

            return -1;
        }
    }

    [Test]
    [Spec("TD-75")]
    [Spec("TD-76")]
    [Spec("TD-77")]
    public void Tags_of_whole_segments_are_right_at_any_offset()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("draft", "segment_mac"))
        {
            byte[] segment = entry.Hex("segment");
            int headerLength = (segment[12] >> 4) * 4;
            CryptOptions options = CryptOptions.Parse(segment.AsSpan(20, headerLength - 20), CryptOptionKinds.Default, isOpeningSyn: false);
            SegmentNumbers numbers = WireDialect.Draft.Number(segment, entry.Number("seq"), entry.Number("ack"), 0, 0);
            Assert.That(numbers.KeyStream, Is.EqualTo(entry.Number("seq")));

            RecordingMac recording = new();
            byte[] first = new byte[16];
            Assert.That(WireDialect.Draft.TryAuthenticate(recording, segment, headerLength, 20 + options.TagOffset, numbers.Sequence, first), Is.True);
            Assert.That(recording.Second, Is.EqualTo(entry.Hex("assoc")));

            using MacKey key = entry.GetProperty("sym_cipher").GetString() == "00000300" ? _provider.CreateCmac(entry.Hex("k_mac")) : _provider.CreateHmacSha256(entry.Hex("k_mac"));
            WireDialect.Draft.TryAuthenticate(key, segment, headerLength, 20 + options.TagOffset, numbers.Sequence, first);
            Assert.That(first, Is.EqualTo(entry.Hex("mac1")));

            byte[] block = new byte[16];
            WireDialect.Draft.WriteAcknowledgmentBlock(numbers.Acknowledgment, block);
            Assert.That(block[8..], Is.EqualTo(entry.Hex("up")));
            using AesKey acknowledgmentKey = _provider.CreateAes(entry.Hex("k_ack"));
            acknowledgmentKey.EncryptBlock(block, block);
            Assert.That(block, Is.EqualTo(entry.Hex("mac2")));
            Assert.That(first.Zip(block, static (a, b) => (byte)(a ^ b)), Is.EqualTo(entry.Hex("mac")));
        }
    }

    [Test]
    [Spec("REF-6.1")]
    public void The_daemons_isn_is_sign_extended()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("reference", "extended_sequence"))
        {
            uint wire = (uint)entry.Number("wire");
            uint isn = (uint)entry.Number("isn");
            ulong expected = ((ulong)Convert.ToUInt32(entry.GetProperty("hi").GetString(), 16) << 32) | Convert.ToUInt32(entry.GetProperty("lo").GetString(), 16);
            byte[] header = new byte[20];
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(4), wire);
            SegmentNumbers numbers = WireDialect.Reference.Number(header, 77, 78, isn, 0);
            Assert.That(numbers.Sequence, Is.EqualTo(expected));
            Assert.That(numbers.KeyStream, Is.EqualTo(wire), "the key stream takes the absolute number");

            // The acknowledgment number counts without the ACK flag too.
            header.AsSpan(4, 4).CopyTo(header.AsSpan(8));
            Assert.That(WireDialect.Reference.Number(header, 77, 78, 0, isn).Acknowledgment, Is.EqualTo(expected));
        }
    }

    private static bool IsDefective(VectorPacket packet) => packet.Note?.StartsWith("reference artefact", StringComparison.Ordinal) == true;

    /// <summary>The packets with a right tag where TCP finds it.</summary>
    private static List<VectorPacket> Tagged(VectorConnection vector)
    {
        List<VectorPacket> packets = [.. vector.Packets.Where(static packet => packet.Mac is not null && !IsDefective(packet))];
        Assert.That(packets, Has.Count.GreaterThan(2));
        return packets;
    }

    private static int TagOffset(VectorPacket packet) => 20 + CryptOptions.Parse(packet.Options, CryptOptionKinds.Default, isOpeningSyn: false).TagOffset;

    private static SegmentNumbers Number(VectorConnection vector, VectorPacket packet)
    {
        (string sender, string receiver) = packet.FromOpener ? ("opener", "listener") : ("listener", "opener");
        return WireDialect.Of(vector.Dialect).Number(packet.Segment, vector.SequenceOf(packet), vector.AcknowledgmentOf(packet), vector.IsnOf(sender), vector.IsnOf(receiver));
    }
}
