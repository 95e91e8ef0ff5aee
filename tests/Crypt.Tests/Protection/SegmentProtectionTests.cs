using System.Reflection;
using CsCheck;
using NUnit.Framework;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tests.Provider;

namespace Tcpcrypt.Tests.Protection;

/// <summary>Sealing and opening: what is covered, at which numbers, under which generation.</summary>
[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class SegmentProtectionTests(string name)
{
    private const TcpcryptDialect Draft = TcpcryptDialect.Draft;
    private const TcpcryptDialect Reference = TcpcryptDialect.Reference;
    private const TcpcryptCipher Hmac = TcpcryptCipher.Aes128HmacSha256;
    private const TcpcryptCipher Cmac = TcpcryptCipher.Aes128Cmac;
    private const uint IsnOfC = 1000;
    private const uint IsnOfS = 2000;

    private CryptoProvider _provider = null!;

    [OneTimeSetUp]
    public void SetUp() => _provider = Providers.Get(name);

    private static SegmentProtection Create(CryptoProvider provider, TcpcryptRole role, TcpcryptDialect dialect = Draft, TcpcryptCipher cipher = Hmac)
    {
        byte[] secret = new byte[32];
        secret.AsSpan().Fill(0x5c);
        using TcpcryptSession session = new(provider, secret, new SessionAgreement { Dialect = dialect, Role = role, KeyExchange = TcpcryptKeyExchange.EcdheP256, Cipher = cipher, PublicKeySize = 256 });
        return role == TcpcryptRole.C ? new SegmentProtection(session, IsnOfC, IsnOfS) : new SegmentProtection(session, IsnOfS, IsnOfC);
    }

    private SegmentProtection Create(TcpcryptRole role, TcpcryptDialect dialect = Draft, TcpcryptCipher cipher = Hmac) => Create(_provider, role, dialect, cipher);

    private static readonly string[] s_layouts = ["MAC0101", "MAC", "0101080a0102030405060708MAC0101", "45048202MAC", "MAC050a0000010000000200", "130601020304MAC1004aabb1104ccdd", "MAC01010000"];

    private static IEnumerable<TestCaseData> Kinds()
    {
        foreach (string layout in s_layouts)
        {
            // A header is a multiple of four octets.
            string options = layout + ((layout.Replace("MAC", new string('0', 36), StringComparison.Ordinal).Length / 2 % 4) switch { 0 => "", 1 => "010101", 2 => "0101", _ => "01" });
            yield return new TestCaseData(Draft, Hmac, options);
            yield return new TestCaseData(Draft, Cmac, options);
            yield return new TestCaseData(Reference, Hmac, options);
        }
    }

    [TestCaseSource(nameof(Kinds))]
    [Spec("TD-74")]
    [Spec("TD-77")]
    [Spec("REF-6.3")]
    public void What_one_side_seals_the_other_opens_and_neither_side_opens_its_own(TcpcryptDialect dialect, TcpcryptCipher cipher, string options)
    {
        using SegmentProtection atC = Create(TcpcryptRole.C, dialect, cipher);
        using SegmentProtection atS = Create(TcpcryptRole.S, dialect, cipher);
        foreach (int length in (int[])[0, 1, 15, 16, 17, 100, 1400])
        {
            byte[] plain = TestSegment.Build(options, length);
            byte[] segment = [.. plain];
            int tagOffset = TestSegment.TagOffset(segment);
            atC.Seal(segment, tagOffset, 1, 1, 0);
            byte[] sealedSegment = [.. segment];
            Assert.That(length < 15 || !segment.AsSpan()[^length..].SequenceEqual(plain.AsSpan()[^length..]), Is.True, "encrypted");
            Assert.That(atC.TryOpen(segment, tagOffset, 1, 1, 0), Is.False, "a reflection");
            Assert.That(segment, Is.EqualTo(sealedSegment), "a wrong tag changes nothing");

            Assert.That(atS.TryOpen(segment, tagOffset, 1, 1, 0), Is.True);
            Assert.That(segment[^length..], Is.EqualTo(plain[^length..]));
            Assert.That(segment[..^length], Is.EqualTo(sealedSegment[..^length]), "the header stands");
        }
    }

    [TestCaseSource(nameof(Kinds))]
    [Spec("TD-75")]
    [Spec("TD-77")]
    [Spec("TD-78")]
    [Spec("REF-6.3")]
    [Spec("HI_ENC_06")]
    public void Every_covered_bit_breaks_the_tag_and_no_other(TcpcryptDialect dialect, TcpcryptCipher cipher, string options)
    {
        using SegmentProtection atC = Create(TcpcryptRole.C, dialect, cipher);
        using SegmentProtection atS = Create(TcpcryptRole.S, dialect, cipher);
        byte[] segment = TestSegment.Build(options, 20);
        int tagOffset = TestSegment.TagOffset(segment);
        atC.Seal(segment, tagOffset, 1, 1, 0);
        string? covered = TestSegment.Covered(dialect, segment, tagOffset, 1, 1);
        Assert.That(covered, Is.Not.Null);
        int passed = 0;
        for (int bit = 0; bit < 8 * segment.Length; bit++)
        {
            byte[] flipped = [.. segment];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            bool isCovered = TestSegment.Covered(dialect, flipped, tagOffset, 1, 1) != covered;
            passed += isCovered ? 0 : 1;
            Assert.That(atS.TryOpen(flipped, tagOffset, 1, 1, 0), Is.Not.EqualTo(isCovered), $"bit {bit % 8} of octet {bit / 8}");
        }

        // Ports, checksum; in Draft the numbers (they come as offsets), in Reference the window.
        Assert.That(passed, Is.GreaterThanOrEqualTo(32 + 16 + (dialect == Draft ? 64 : 16)));
    }

    [Test]
    [Spec("TD-78")]
    [Spec("TD-83")]
    public void Arbitrary_changes_are_found_when_they_touch_what_is_covered()
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[Draft, Reference])
        {
            using SegmentProtection atC = Create(TcpcryptRole.C, dialect);
            using SegmentProtection atS = Create(TcpcryptRole.S, dialect);
            byte[] segment = TestSegment.Build("0101080a0102030405060708MAC0101", 8);
            int tagOffset = TestSegment.TagOffset(segment);
            atC.Seal(segment, tagOffset, 1, 1, 0);
            string? covered = TestSegment.Covered(dialect, segment, tagOffset, 1, 1);
            Gen.Select(Gen.Int[0, segment.Length - 1], Gen.Byte).Array[1, 6].Sample(
                changes =>
                {
                    byte[] changed = [.. segment];
                    foreach ((int at, byte value) in changes)
                    {
                        changed[at] = value;
                    }

                    bool isGenuine = TestSegment.Covered(dialect, changed, tagOffset, 1, 1) == covered;
                    return atS.TryOpen(changed, tagOffset, 1, 1, 0) == isGenuine;
                },
                iter: 20_000,
                threads: 1);
        }
    }

    [Test]
    [Spec("TD-83")]
    [Spec("HI_ENC_06")]
    public void Any_octets_are_refused_without_a_trace()
    {
        using SegmentProtection draft = Create(TcpcryptRole.S);
        using SegmentProtection reference = Create(TcpcryptRole.S, Reference);
        Gen.Select(Gen.Byte.Array[0, 90], Gen.Int[-5, 100], Gen.ULong, Gen.Long[-3, 200]).Sample(
            (octets, tagOffset, number, generation) =>
            {
                byte[] segment = [.. octets];
                return !draft.TryOpen(segment, tagOffset, number, number, generation) && !reference.TryOpen(segment, tagOffset, number, number, generation) && segment.AsSpan().SequenceEqual(octets);
            },
            iter: 20_000,
            threads: 1);
    }

    [TestCase("MAC0101", 20, TestName = "before the content")]
    [TestCase("MAC0101", 23, TestName = "one octet on")]
    [TestCase("0101MAC", 22, TestName = "where the NOPs are")]
    [TestCase("4610000102030405060708090a0b0c0d", 22, TestName = "in an option too short")]
    [TestCase("4614000102030405060708090a0b0c0d0e0f1011", 22, TestName = "in an option too long")]
    [TestCase("00MAC010101010101010101010101", 23, TestName = "behind the end of the list")]
    [TestCase("0900" + "MAC", 24, TestName = "behind an option of length 0")]
    [TestCase("MAC0901", 22, TestName = "before an option of length 1")]
    [TestCase("MAC0909", 22, TestName = "before an option past the header")]
    [TestCase("", 22, TestName = "without options")]
    [Spec("TD-9")]
    [Spec("TD-78")]
    [Spec("HI_ENC_12")]
    public void A_tag_is_only_where_a_mac_option_is(string options, int tagOffset)
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[Draft, Reference])
        {
            using SegmentProtection atC = Create(TcpcryptRole.C, dialect);
            using SegmentProtection atS = Create(TcpcryptRole.S, dialect);
            byte[] segment = TestSegment.Build(options, 40);
            Assert.That(atS.TryOpen(segment, tagOffset, 1, 1, 0), Is.False);
            Assert.That(() => atC.Seal(segment, tagOffset, 1, 1, 0), Throws.ArgumentException);
        }
    }

    [TestCase(1UL, 1UL)]
    [TestCase(0xfffffff0UL, 0xffffffffUL)]
    [TestCase(0x1_0000_0000UL, 0x1_0000_0001UL)]
    [TestCase(0x2_0000_0005UL, 0x3_0000_0000UL)]
    [TestCase(0x100_0000_0000UL, 5UL)]
    [TestCase(ulong.MaxValue - 40, ulong.MaxValue)]
    [Spec("TD-74")]
    [Spec("TD-75")]
    [Spec("TD-76")]
    [Spec("HI_ENC_07")]
    public void Draft_counts_offsets_in_64_bits(ulong sequence, ulong acknowledgment)
    {
        using SegmentProtection atC = Create(TcpcryptRole.C);
        using SegmentProtection atS = Create(TcpcryptRole.S);
        byte[] plain = TestSegment.Build("MAC0101", 40, unchecked(IsnOfC + (uint)sequence), unchecked(IsnOfS + (uint)acknowledgment));
        byte[] segment = [.. plain];
        atC.Seal(segment, 22, sequence, acknowledgment, 0);
        foreach (int bit in (int[])[0, 4, 31, 32, 33, 40, 63])
        {
            Assert.That(atS.TryOpen(segment, 22, sequence ^ (1UL << bit), acknowledgment, 0), Is.False, $"bit {bit} of the sequence number");
            Assert.That(atS.TryOpen(segment, 22, sequence, acknowledgment ^ (1UL << bit), 0), Is.False, $"bit {bit} of the acknowledgment number");
        }

        byte[] elsewhere = [.. plain];
        atC.Seal(elsewhere, 22, sequence ^ (1UL << 32), acknowledgment, 0);
        Assert.That(elsewhere[40..], Is.Not.EqualTo(segment[40..]), "the key stream does not repeat after 4 GiB");

        Assert.That(atS.TryOpen(segment, 22, sequence, acknowledgment, 0), Is.True);
        Assert.That(segment[40..], Is.EqualTo(plain[40..]));
    }

    [Test]
    [Spec("TD-76")]
    public void Without_the_ack_flag_Draft_ignores_the_acknowledgment_number_and_Reference_does_not()
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[Draft, Reference])
        {
            using SegmentProtection atC = Create(TcpcryptRole.C, dialect);
            using SegmentProtection atS = Create(TcpcryptRole.S, dialect);
            byte[] segment = TestSegment.Build("MAC0101", 0, flags: 0x04);
            atC.Seal(segment, 22, 1, 1, 0);
            Assert.That(atS.TryOpen(segment, 22, 1, 0xdead, 0), Is.True, "Reference takes the number from the header");
            segment[11] ^= 1;
            Assert.That(atS.TryOpen(segment, 22, 1, 1, 0), Is.EqualTo(dialect == Draft));
        }
    }

    [Test]
    [Spec("TD-74")]
    public void In_Draft_the_ciphertext_does_not_depend_on_the_cuts()
    {
        using SegmentProtection atC = Create(TcpcryptRole.C);
        byte[] whole = TestSegment.Build("MAC0101", 200, 7 + IsnOfC);
        byte[] data = whole[40..];
        atC.Seal(whole, 22, 7, 1, 0);
        for (int cut = 1; cut < 200; cut++)
        {
            byte[] first = [.. TestSegment.Build("MAC0101", 0), .. data[..cut]];
            byte[] second = [.. TestSegment.Build("MAC0101", 0), .. data[cut..]];
            atC.Seal(first, 22, 7, 1, 0);
            atC.Seal(second, 22, 7 + (ulong)cut, 1, 0);
            Assert.That((byte[])[.. first[40..], .. second[40..]], Is.EqualTo(whole[40..]));
        }
    }

    [TestCase(Hmac)]
    [TestCase(Cmac)]
    [Spec("TD-69")]
    [Spec("TD-93")]
    [Spec("TD-98")]
    public void Generations_go_past_255_while_old_ones_are_forgotten(TcpcryptCipher cipher)
    {
        CountingProvider counting = new(_provider);
        using SegmentProtection atC = Create(counting, TcpcryptRole.C, Draft, cipher);
        using SegmentProtection atS = Create(TcpcryptRole.S, Draft, cipher);
        byte[]? before = null;
        for (long generation = 0; generation < 300; generation++)
        {
            byte[] plain = TestSegment.Build("45048205MAC0101", 16);
            byte[] segment = [.. plain];
            atC.Seal(segment, 26, 1, 1, generation);
            Assert.That(segment, Is.Not.EqualTo(before));
            before = [.. segment];
            Assert.That(atS.TryOpen([.. segment], 26, 1, 1, generation + 1), Is.False);
            Assert.That(atS.TryOpen(segment, 26, 1, 1, generation), Is.True);
            Assert.That(segment[44..], Is.EqualTo(plain[44..]));
            atC.ForgetSend(generation);
            atC.ForgetReceive(generation);
            atS.ForgetReceive(generation);
            Assert.That(counting.KeysAlive, Is.LessThanOrEqualTo(6));
        }
    }

    [Test]
    [Spec("TD-97")]
    [Spec("TD-98")]
    public void Old_and_new_generations_live_side_by_side_until_forgotten()
    {
        using SegmentProtection atC = Create(TcpcryptRole.C);
        using SegmentProtection atS = Create(TcpcryptRole.S);
        byte[][] segments = new byte[3][];
        foreach (int generation in (int[])[2, 0, 1])
        {
            segments[generation] = TestSegment.Build("MAC0101", 16);
            atC.Seal(segments[generation], 22, 1, 1, generation);
        }

        foreach (int generation in (int[])[2, 0, 1, 0])
        {
            Assert.That(atS.TryOpen([.. segments[generation]], 22, 1, 1, generation), Is.True);
            Assert.That(atS.TryOpen([.. segments[generation]], 22, 1, 1, (generation + 1) % 3), Is.False);
        }

        atS.ForgetReceive(2);
        Assert.That(atS.TryOpen([.. segments[0]], 22, 1, 1, 0), Is.False);
        Assert.That(atS.TryOpen([.. segments[1]], 22, 1, 1, 1), Is.False);
        Assert.That(atS.TryOpen([.. segments[2]], 22, 1, 1, 2), Is.True);
        atS.ForgetReceive(1);
        Assert.That(atS.TryOpen([.. segments[1]], 22, 1, 1, 1), Is.False, "what is forgotten stays forgotten");
        Assert.That(() => atS.Seal(TestSegment.Build("MAC0101", 0), 22, 1, 1, 0), Throws.Nothing, "the other direction has its own keys");
        atC.ForgetSend(2);
        Assert.That(() => atC.Seal(TestSegment.Build("MAC0101", 0), 22, 1, 1, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    [Spec("TD-73")]
    [Spec("HI_ENC_15")]
    public void A_master_key_goes_when_its_successor_is_there_and_both_directions_have_their_keys()
    {
        using SegmentProtection atC = Create(TcpcryptRole.C);
        using SegmentProtection atS = Create(TcpcryptRole.S);
        MasterKeyChain chain = (MasterKeyChain)typeof(SegmentProtection).GetField("_chain", BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(atS)!;
        atS.Seal(TestSegment.Build("MAC0101", 0), 22, 1, 1, 1);
        Assert.That(chain.First, Is.EqualTo(1), "both directions had keys of 0 from the start");
        atS.Seal(TestSegment.Build("MAC0101", 0), 22, 1, 1, 2);
        Assert.That(chain.First, Is.EqualTo(1), "the peer may still send under 1");

        byte[] segment = TestSegment.Build("MAC0101", 0);
        Assert.That(atS.TryOpen([.. segment], 22, 1, 1, 1), Is.False);
        Assert.That(chain.First, Is.EqualTo(1), "a forgery settles nothing");
        atC.Seal(segment, 22, 1, 1, 1);
        Assert.That(atS.TryOpen(segment, 22, 1, 1, 1), Is.True);
        Assert.That((chain.First, chain.Last), Is.EqualTo((2, 2)));

        atS.Seal(TestSegment.Build("MAC0101", 0), 22, 1, 1, 5);
        Assert.That((chain.First, chain.Last), Is.EqualTo((2, 5)));
        atS.ForgetReceive(5);
        Assert.That(chain.First, Is.EqualTo(3), "nothing was sent under 3 yet");
        atS.ForgetSend(5);
        Assert.That(chain.First, Is.EqualTo(5));
    }

    [Test]
    [Spec("TD-94")]
    public void A_label_reaches_127_generations_ahead_of_what_was_ever_genuine()
    {
        using SegmentProtection atC = Create(TcpcryptRole.C);
        using SegmentProtection atS = Create(TcpcryptRole.S);
        byte[] at127 = TestSegment.Build("MAC0101", 16);
        byte[] at128 = TestSegment.Build("MAC0101", 16);
        atC.Seal(at127, 22, 1, 1, 127);
        atC.Seal(at128, 22, 1, 1, 128);
        Assert.That(atS.TryOpen([.. at128], 22, 1, 1, 128), Is.False, "too far");
        Assert.That(atS.TryOpen([.. at128], 22, 1, 1, 127), Is.False, "a forged label");
        Assert.That(atS.TryOpen([.. at128], 22, 1, 1, 128), Is.False, "a forgery takes nobody further");
        Assert.That(atS.TryOpen([.. at127], 22, 1, 1, 127), Is.True);
        Assert.That(atS.TryOpen([.. at128], 22, 1, 1, 128), Is.True, "what is genuine does");
    }

    [Test]
    [Spec("TD-94")]
    [Spec("TD-124")]
    [Spec("HI_ENC_08")]
    public void Forged_labels_cost_a_bounded_number_of_derivations_and_no_memory()
    {
        CountingProvider counting = new(_provider);
        using SegmentProtection atS = Create(counting, TcpcryptRole.S);
        byte[] forged = TestSegment.Build("45048201MAC0101", 16);
        int start = counting.Derivations;
        Assert.That(atS.TryOpen(forged, 26, 1, 1, 127), Is.False);
        Assert.That(counting.Derivations - start, Is.LessThanOrEqualTo(127 + 4), "the chain, and the keys of one generation");
        int keys = counting.KeysAlive;
        for (int generation = 1; generation <= 300; generation++)
        {
            start = counting.Derivations;
            Assert.That(atS.TryOpen(forged, 26, 1, 1, generation), Is.False);
            Assert.That(counting.Derivations - start, Is.LessThanOrEqualTo(4));
            Assert.That(counting.KeysAlive, Is.LessThanOrEqualTo(keys));
        }

        start = counting.Derivations;
        int created = counting.KeysCreated;
        Assert.That(atS.TryOpen(forged, 26, 1, 1, 127), Is.False);
        Assert.That(atS.TryOpen(forged, 26, 1, 1, 127), Is.False);
        Assert.That(atS.TryOpen(forged, 26, 1, 1, 0), Is.False);
        Assert.That(counting.Derivations - start, Is.LessThanOrEqualTo(4), "asked again, the same keys serve");
        Assert.That(counting.KeysCreated - created, Is.LessThanOrEqualTo(3));

        using SegmentProtection atC = Create(TcpcryptRole.C);
        byte[] genuine = TestSegment.Build("45048201MAC0101", 16);
        atC.Seal(genuine, 26, 1, 1, 1);
        Assert.That(atS.TryOpen(genuine, 26, 1, 1, 1), Is.True, "and the genuine one is still understood");
    }

    [Test]
    [Spec("TD-93")]
    public void Sealing_ahead_counts_as_genuine_for_what_is_received()
    {
        using SegmentProtection atC = Create(TcpcryptRole.C);
        using SegmentProtection atS = Create(TcpcryptRole.S);
        for (long generation = 0; generation < 200; generation++)
        {
            atS.Seal(TestSegment.Build("MAC0101", 0), 22, 1, 1, generation);
        }

        byte[] answer = TestSegment.Build("MAC0101", 4);
        atC.Seal(answer, 22, 1, 1, 100);
        atC.Seal(answer, 22, 1, 1, 199);
        atC.Seal(answer, 22, 1, 1, 200);
        byte[] late = TestSegment.Build("MAC0101", 4);
        atC.Seal(late, 22, 1, 1, 150);
        Assert.That(atS.TryOpen(late, 22, 1, 1, 150), Is.True, "a generation that was never asked for is still there to be derived");
    }

    [Test]
    [Spec("REF-10")]
    public void Reference_has_one_set_of_keys()
    {
        using SegmentProtection atC = Create(TcpcryptRole.C, Reference);
        using SegmentProtection atS = Create(TcpcryptRole.S, Reference);
        byte[] segment = TestSegment.Build("MAC0101", 16);
        Assert.That(() => atC.Seal([.. segment], 22, 1, 1, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        atC.Seal(segment, 22, 1, 1, 0);
        Assert.That(atS.TryOpen(segment, 22, 1, 1, 1), Is.False);
        Assert.That(atS.TryOpen(segment, 22, 1, 1, 0), Is.True);
    }

    [TestCase(Draft)]
    [TestCase(Reference)]
    [Spec("TD-73")]
    [Spec("HI_ENC_15")]
    public void Disposed_it_has_no_keys_left(TcpcryptDialect dialect)
    {
        CountingProvider counting = new(_provider);
        SegmentProtection atS = Create(counting, TcpcryptRole.S, dialect);
        using SegmentProtection atC = Create(TcpcryptRole.C, dialect);
        byte[] segment = TestSegment.Build("MAC0101", 16);
        atC.Seal(segment, 22, 1, 1, 0);
        Assert.That(atS.TryOpen([.. segment], 22, 1, 1, 5), Is.False);
        Assert.That(counting.KeysAlive, Is.GreaterThanOrEqualTo(6));
        atS.Dispose();
        Assert.That(counting.KeysAlive, Is.Zero);
        Assert.That(atS.TryOpen(segment, 22, 1, 1, 0), Is.False);
        Assert.That(() => atS.Seal(segment, 22, 1, 1, 0), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(atS.Dispose, Throws.Nothing);
    }

    [Test]
    [Spec("TD-75")]
    public void A_segment_longer_than_its_length_field_cannot_be_sealed()
    {
        using SegmentProtection atC = Create(TcpcryptRole.C);
        byte[] longest = TestSegment.Build("MAC0101", 65535 - 40);
        Assert.That(() => atC.Seal(longest, 22, 1, 1, 0), Throws.Nothing);
        Assert.That(() => atC.Seal(TestSegment.Build("MAC0101", 65536 - 40), 22, 1, 1, 0), Throws.ArgumentException);
    }

    [TestCase(Draft, Hmac)]
    [TestCase(Draft, Cmac)]
    [TestCase(Reference, Hmac)]
    public void Nothing_is_allocated_for_a_segment(TcpcryptDialect dialect, TcpcryptCipher cipher)
    {
        using SegmentProtection atC = Create(TcpcryptRole.C, dialect, cipher);
        using SegmentProtection atS = Create(TcpcryptRole.S, dialect, cipher);
        byte[] segment = TestSegment.Build("0101080a0102030405060708MAC0101", 1400);
        bool isOpen = true;
        long allocated = long.MaxValue;

        // The runtime allocates now and then for itself while it compiles: of several rounds the best one counts.
        for (int round = 0; round < 20; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 50; i++)
            {
                atC.Seal(segment, 34, 1, 1, 0);
                isOpen &= atS.TryOpen(segment, 34, 1, 1, 0);
            }

            allocated = Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.That(isOpen, Is.True);
        Assert.That(allocated, Is.Zero);
    }
}
