using CsCheck;
using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Options;

/// <summary>The CRYPT and MAC options of a header (draft spec 1; reference spec 1).</summary>
internal sealed class CryptOptionsTests
{
    private const string Mac = "4612000102030405060708090a0b0c0d0e0f";
    private const string Sid = "112233445566778899";

    private static CryptOptions Parse(ReadOnlySpan<byte> options, bool isOpeningSyn = false) => CryptOptions.Parse(options, CryptOptionKinds.Default, isOpeningSyn);

    [TestCase("4502", TestName = "empty")]
    [TestCase("450301", TestName = "HELLO")]
    [TestCase("45030000", TestName = "padding")]
    [TestCase("45043f3e", TestName = "unknown opcodes without content")]
    [TestCase("450604430307", TestName = "DECLINE: HELLO is implied all the same")]
    [Spec("TD-3")]
    public void A_syn_with_a_crypt_option_says_hello(string options)
    {
        CryptOptions parsed = Parse(Convert.FromHexString(options), isOpeningSyn: true);
        Assert.That(parsed.HasCrypt, Is.True);
        Assert.That(parsed.Present & Suboptions.AnyHello, Is.EqualTo(Suboptions.Hello));
    }

    [TestCase("450302", Suboptions.HelloAppSupport)]
    [TestCase("450303", Suboptions.HelloAppMandatory)]
    [TestCase("450d0284" + Sid, Suboptions.HelloAppSupport)]
    [TestCase("450d0384" + Sid, Suboptions.HelloAppMandatory)]
    [TestCase("450c84" + Sid, Suboptions.Hello)]
    [TestCase("450c85" + Sid, Suboptions.HelloAppSupport)]
    [Spec("TD-3")]
    [Spec("TD-59")]
    [Spec("TD-135")]
    public void The_hello_of_a_syn_keeps_its_form(string options, Suboptions expected) =>
        Assert.That(Parse(Convert.FromHexString(options), isOpeningSyn: true).Present & Suboptions.AnyHello, Is.EqualTo(expected));

    [Test]
    [Spec("TD-3")]
    public void Elsewhere_nothing_is_implied()
    {
        CryptOptions parsed = Parse([0x45, 2]);
        Assert.That(parsed.HasCrypt, Is.True);
        Assert.That(parsed.Present, Is.EqualTo(Suboptions.None));
    }

    [TestCase("01", Suboptions.Hello)]
    [TestCase("02", Suboptions.HelloAppSupport)]
    [TestCase("03", Suboptions.HelloAppMandatory)]
    [TestCase("04", Suboptions.Decline)]
    [TestCase("05", Suboptions.NextK2)]
    [TestCase("06", Suboptions.NextK2AppSupport)]
    [TestCase("07", Suboptions.Init1)]
    [TestCase("08", Suboptions.Init2)]
    [TestCase("4105000200", Suboptions.PkConf)]
    [TestCase("4205000200", Suboptions.PkConfAppSupport)]
    [TestCase("430307", Suboptions.Unknown)]
    [TestCase("4404aabb", Suboptions.SynCookie)]
    [TestCase("4504aabb", Suboptions.AckCookie)]
    [TestCase("8000000001", Suboptions.SyncRequest)]
    [TestCase("8100000001", Suboptions.SyncOk)]
    [TestCase("8205", Suboptions.Rekey)]
    [TestCase("830500000001", Suboptions.RekeyStream)]
    [TestCase("84" + Sid, Suboptions.NextK1)]
    [Spec("TD-4")]
    [Spec("TD-5")]
    public void Every_suboption_is_read_to_its_end(string suboption, Suboptions expected)
    {
        // DECLINE behind it is only seen when its length was understood.
        byte[] content = Convert.FromHexString(suboption + "04");
        CryptOptions parsed = Parse([0x45, (byte)(2 + content.Length), .. content]);
        Assert.That(parsed.Present, Is.EqualTo(expected | Suboptions.Decline));
    }

    [Test]
    [Spec("TD-5")]
    public void Contents_are_spans_of_the_segment()
    {
        byte[] options = Convert.FromHexString("45" + "23" + "41" + "08" + "000200" + "00f004" + "43" + "04" + "c1c2" + "44" + "05" + "a1a2a3" + "45" + "04" + "b1b2" + "80" + "00000102" + "81" + "00000304" + "82" + "07");
        CryptOptions parsed = Parse(options);
        Assert.That(parsed.PkConf.ToArray(), Is.EqualTo(Convert.FromHexString("00020000f004")));
        Assert.That(parsed.UnknownOpcodes.ToArray(), Is.EqualTo(new byte[] { 0xc1, 0xc2 }));
        Assert.That(parsed.SynCookie.ToArray(), Is.EqualTo(new byte[] { 0xa1, 0xa2, 0xa3 }));
        Assert.That(parsed.AckCookie.ToArray(), Is.EqualTo(new byte[] { 0xb1, 0xb2 }));
        Assert.That(parsed.SyncRequestClock, Is.EqualTo(0x102));
        Assert.That(parsed.SyncOkClock, Is.EqualTo(0x304));
        Assert.That(parsed.KeyLsb, Is.EqualTo(7));
        Assert.That(Parse([0x45, 12, 0x84, 1, 2, 3, 4, 5, 6, 7, 8, 9]).SessionIdentifier.ToArray(), Is.EqualTo(new byte[] { 1, 2, 3, 4, 5, 6, 7, 8, 9 }));
    }

    [TestCase("45040004", Suboptions.Decline, TestName = "00 is skipped")]
    [TestCase("45040904", Suboptions.Decline, TestName = "09 is skipped")]
    [TestCase("45043f04", Suboptions.Decline, TestName = "3f is skipped")]
    [TestCase("4507460400ff04", Suboptions.Decline, TestName = "46 is skipped by its length")]
    [TestCase("4505400204", Suboptions.Decline, TestName = "40 without content is skipped")]
    [TestCase("45050486" + "04", Suboptions.Decline, TestName = "86 ends the option, what came before counts")]
    [TestCase("45058604" + "08", Suboptions.None, TestName = "86 hides what follows")]
    [TestCase("4504bf04" + "450304", Suboptions.Decline, TestName = "the next CRYPT option is read again")]
    [Spec("TD-4")]
    public void Unknown_opcodes_are_passed_over_as_their_range_says(string options, Suboptions expected) => Assert.That(Parse(Convert.FromHexString(options)).Present, Is.EqualTo(expected));

    [Test]
    [Spec("TD-4")]
    [Spec("TD-43")]
    [Spec("TD-47")]
    public void Unknown_mandatory_opcodes_are_collected_over_all_options()
    {
        CryptOptions parsed = Parse(Convert.FromHexString("4505" + "04ff07" + "4504" + "c008" + "4503" + "05"));
        Assert.That(parsed.Present, Is.EqualTo(Suboptions.Decline | Suboptions.UnknownMandatory | Suboptions.NextK2));
        Assert.That(parsed.UnknownMandatory, Is.EqualTo((1UL << 63) | 1));
        Assert.That(CryptOptions.OpcodesOf(parsed.UnknownMandatory), Is.EqualTo(new byte[] { 0xc0, 0xff }));
        Assert.That(CryptOptions.OpcodesOf(Parse(Convert.FromHexString("4503d7")).UnknownMandatory), Is.EqualTo(new byte[] { 0xd7 }));
    }

    [Test]
    [Spec("TD-7")]
    public void Opcode_85_is_nextk1_on_a_syn_and_an_iv_elsewhere()
    {
        byte[] options = Convert.FromHexString("450d85" + Sid + "04");
        CryptOptions syn = Parse(options, isOpeningSyn: true);
        Assert.That(syn.Present, Is.EqualTo(Suboptions.NextK1AppSupport | Suboptions.Decline | Suboptions.HelloAppSupport));
        Assert.That(Convert.ToHexStringLower(syn.SessionIdentifier), Is.EqualTo(Sid));
        CryptOptions other = Parse(options);
        Assert.That(other.Present, Is.EqualTo(Suboptions.InitializationVector));
        Assert.That(other.SessionIdentifier.Length, Is.Zero);
    }

    [Test]
    [Spec("TD-135")]
    public void A_nextk1_with_and_one_without_application_support_are_two_forms()
    {
        CryptOptions parsed = Parse(Convert.FromHexString("450c84" + Sid), isOpeningSyn: true);
        Assert.That(parsed.Has(Suboptions.NextK1), Is.True);
        Assert.That(parsed.Has(Suboptions.NextK1AppSupport), Is.False);
        Assert.That(Convert.ToHexStringLower(parsed.SessionIdentifier), Is.EqualTo(Sid));
    }

    [TestCase("4503" + "41", TestName = "PKCONF without its length")]
    [TestCase("4504" + "4100", TestName = "PKCONF of length 0")]
    [TestCase("4504" + "4101", TestName = "PKCONF of length 1")]
    [TestCase("4504" + "4102", TestName = "PKCONF without content")]
    [TestCase("4504" + "4202", TestName = "PKCONF-app-support without content")]
    [TestCase("4506" + "41040002", TestName = "PKCONF of two octets")]
    [TestCase("4508" + "410600020000", TestName = "PKCONF of four octets")]
    [TestCase("4506" + "41050002", TestName = "PKCONF past the option")]
    [TestCase("4505" + "4604aa", TestName = "an unknown suboption past the option")]
    [TestCase("4504" + "4701", TestName = "an unknown suboption of length 1")]
    [TestCase("4504" + "0443", TestName = "UNKNOWN without its length, behind DECLINE")]
    [TestCase("4506" + "80000000", TestName = "SYNC_REQ cut short")]
    [TestCase("4503" + "81", TestName = "SYNC_OK cut short")]
    [TestCase("4503" + "82", TestName = "REKEY without KeyLSB")]
    [TestCase("4507" + "8300000000", TestName = "REKEYSTREAM cut short")]
    [TestCase("450b84" + "1122334455667788", TestName = "NEXTK1 of eight octets")]
    [TestCase("450304" + "4504" + "4102", TestName = "the second of two options")]
    [TestCase("4504" + "4102" + "450304", TestName = "the first of two options")]
    [TestCase("450304" + "45", TestName = "a second option without its length")]
    [TestCase("450304" + "4501", TestName = "a second option of length 1")]
    [TestCase("4506" + "0401", TestName = "past the header")]
    [TestCase("4500" + "0401", TestName = "of length 0")]
    [Spec("TD-8")]
    [Spec("HI_ENC_13")]
    public void Malformed_crypt_counts_as_absent(string options)
    {
        CryptOptions parsed = Parse(Convert.FromHexString(options), isOpeningSyn: true);
        Assert.That(parsed.HasCrypt, Is.False);
        Assert.That(parsed.Present, Is.EqualTo(Suboptions.None));
        Assert.That(parsed.PkConf.Length + parsed.UnknownOpcodes.Length + parsed.SessionIdentifier.Length, Is.Zero);
    }

    [Test]
    [Spec("TD-8")]
    [Spec("TD-9")]
    public void Malformed_crypt_leaves_the_mac_alone()
    {
        CryptOptions parsed = Parse(Convert.FromHexString("45044102" + Mac));
        Assert.That(parsed.HasCrypt, Is.False);
        Assert.That(parsed.HasMac, Is.True);
        Assert.That(parsed.TagOffset, Is.EqualTo(6));
    }

    [TestCase(Mac, 2, TestName = "alone")]
    [TestCase("0101080a0000000000000000" + Mac, 14, TestName = "behind timestamps")]
    [TestCase("45048201" + Mac + "0101", 6, TestName = "behind REKEY")]
    [TestCase(Mac + "4612", -1, TestName = "another one cut short behind it")]
    [TestCase(Mac + Mac, -1, TestName = "twice")]
    [TestCase("4611000102030405060708090a0b0c0d0e", -1, TestName = "of 15 octets")]
    [TestCase("4613000102030405060708090a0b0c0d0e0f10", -1, TestName = "of 17 octets")]
    [TestCase("4602" + Mac, -1, TestName = "empty, then a good one")]
    [TestCase(Mac + "4602", -1, TestName = "a good one, then empty")]
    [TestCase("46", -1, TestName = "without its length")]
    [TestCase("4600", -1, TestName = "of length 0")]
    [Spec("TD-9")]
    [Spec("HI_ENC_12")]
    public void A_mac_option_is_valid_when_it_is_one_of_18_octets(string options, int tagOffset)
    {
        CryptOptions parsed = Parse(Convert.FromHexString(options));
        Assert.That(parsed.HasMac, Is.True);
        Assert.That(parsed.TagOffset, Is.EqualTo(tagOffset));
    }

    [TestCase("450304" + Mac + "0901")]
    [TestCase("450304" + Mac + "0909")]
    [TestCase("450304" + Mac + "09")]
    [Spec("TD-10")]
    public void An_illegal_length_of_another_option_ends_the_list_and_what_came_before_stands(string options)
    {
        CryptOptions parsed = Parse(Convert.FromHexString(options));
        Assert.That(parsed.Present, Is.EqualTo(Suboptions.Decline));
        Assert.That(parsed.TagOffset, Is.EqualTo(5));
        Assert.That(Parse(Convert.FromHexString("0901" + Mac)).HasMac, Is.False);
    }

    [TestCase("4502")]
    [TestCase("0101")]
    [TestCase("")]
    [Spec("TD-9")]
    public void Without_a_mac_option_there_is_no_tag(string options)
    {
        CryptOptions parsed = Parse(Convert.FromHexString(options));
        Assert.That(parsed.HasMac, Is.False);
        Assert.That(parsed.TagOffset, Is.EqualTo(-1));
    }

    [Test]
    [Spec("TD-10")]
    [Spec("REF-1.2")]
    public void Nothing_is_read_behind_the_end_of_the_list()
    {
        // The daemon's defective INIT2 retransmission: the MAC hides behind EOL.
        CryptOptions parsed = Parse(Convert.FromHexString("45030800" + Mac));
        Assert.That(parsed.Present, Is.EqualTo(Suboptions.Init2));
        Assert.That(parsed.HasMac, Is.False);
    }

    [Test]
    [Spec("TD-10")]
    public void Nops_may_stand_anywhere_between_options()
    {
        CryptOptions parsed = Parse(Convert.FromHexString("01" + "45048203" + "010101" + Mac + "01"));
        Assert.That(parsed.Present, Is.EqualTo(Suboptions.Rekey));
        Assert.That(parsed.TagOffset, Is.EqualTo(10));
    }

    [Test]
    [Spec("TD-1")]
    public void The_kinds_are_configurable()
    {
        byte[] options = Convert.FromHexString("fd03" + "04" + "fe12" + "000102030405060708090a0b0c0d0e0f" + "450305");
        CryptOptions parsed = CryptOptions.Parse(options, new CryptOptionKinds(0xfd, 0xfe), isOpeningSyn: false);
        Assert.That(parsed.Present, Is.EqualTo(Suboptions.Decline));
        Assert.That(parsed.TagOffset, Is.EqualTo(5));
    }

    [TestCase("4506" + "82018202", ExpectedResult = true)]
    [TestCase("450a" + "8201" + "830200000000", ExpectedResult = true)]
    [TestCase("450a" + "830200000000" + "8201", ExpectedResult = true)]
    [TestCase("450a" + "8201" + "830100000000", ExpectedResult = false)]
    [TestCase("450400" + "00" + "45048201" + "45048201", ExpectedResult = false)]
    [Spec("TD-99")]
    public bool Labels_of_two_generations_are_a_conflict(string options)
    {
        CryptOptions parsed = Parse(Convert.FromHexString(options));
        Assert.That(parsed.Has(Suboptions.Rekey), Is.True);
        return parsed.HasKeyLsbConflict;
    }

    [Test]
    [Spec("TD-2")]
    public void Of_two_suboptions_the_first_counts_and_of_clocks_the_highest()
    {
        CryptOptions parsed = Parse(Convert.FromHexString("4510" + "4105000200" + "4205000201" + "44030a" + "44" + "4503" + "07"));
        Assert.That(parsed.HasCrypt, Is.False, "the fourth suboption has no length");
        parsed = Parse(Convert.FromHexString("4512" + "4105000200" + "4205000201" + "44030a" + "44030b"));
        Assert.That(parsed.Present, Is.EqualTo(Suboptions.PkConf | Suboptions.SynCookie));
        Assert.That(parsed.PkConf.ToArray(), Is.EqualTo(new byte[] { 0, 2, 0 }));
        Assert.That(parsed.SynCookie.ToArray(), Is.EqualTo(new byte[] { 10 }));
        parsed = Parse(Convert.FromHexString("4516" + "8000000007" + "8000000003" + "8100000002" + "8100000009"));
        Assert.That(parsed.SyncRequestClock, Is.EqualTo(7));
        Assert.That(parsed.SyncOkClock, Is.EqualTo(9));
    }

    private static readonly string[] s_suboptions = ["01", "04", "05", "07", "3e", "4105000200", "4208000201000100", "430307", "4404aabb", "4503cc", "4703ee", "8000000005", "8100000006", "8207", "84" + Sid];

    [Test]
    [Spec("TD-2")]
    public void Several_crypt_options_are_one_with_all_suboptions_in_order() =>
        Gen.Select(Gen.Int[0, s_suboptions.Length - 1].Array[0, 6], Gen.Int[0, 6], Gen.Bool).Sample((indices, cut, isOpeningSyn) =>
        {
            cut = Math.Min(cut, indices.Length);
            byte[] all = Convert.FromHexString(string.Concat(indices.Select(i => s_suboptions[i])));
            byte[] first = Convert.FromHexString(string.Concat(indices.Take(cut).Select(i => s_suboptions[i])));
            byte[] second = all[first.Length..];
            CryptOptions one = Parse([0x45, (byte)(2 + all.Length), .. all], isOpeningSyn);
            CryptOptions two = Parse([0x45, (byte)(2 + first.Length), .. first, 1, 0x45, (byte)(2 + second.Length), .. second], isOpeningSyn);
            return Describe(one) == Describe(two) && one.HasCrypt;
        });

    [Test]
    [Spec("TD-8")]
    public void Any_octets_have_an_outcome_and_spans_lie_inside()
    {
        // Octets that mean something are frequent, so that deep paths are reached.
        byte[] lengths = [0, 1, 2, 3, 4, 5, 6, 10, 12, 18];
        byte[] kinds = [0x45, 0x46, 0x41, 0x42, 0x43, 0x44, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0xc0];
        Gen<byte> octet = Gen.Frequency((3, Gen.Byte), (2, Gen.Int[0, lengths.Length - 1].Select(i => lengths[i])), (3, Gen.Int[0, kinds.Length - 1].Select(i => kinds[i])));
        Gen.Select(octet.Array[0, 40], Gen.Bool).Sample(
            (options, isOpeningSyn) =>
            {
                CryptOptions parsed = Parse(options, isOpeningSyn);
                return IsInside(options, parsed.PkConf) && IsInside(options, parsed.UnknownOpcodes) && IsInside(options, parsed.SynCookie) && IsInside(options, parsed.AckCookie) && IsInside(options, parsed.SessionIdentifier)
                    && parsed.PkConf.Length % 3 == 0
                    && parsed.SessionIdentifier.Length == (parsed.Has(Suboptions.AnyNextK1) ? 9 : 0)
                    && (parsed.TagOffset == -1 || (parsed.HasMac && parsed.TagOffset + 16 <= options.Length))
                    && (parsed.HasCrypt || parsed.Present == Suboptions.None)
                    && parsed.Has(Suboptions.UnknownMandatory) == (parsed.UnknownMandatory != 0)
                    && (!isOpeningSyn || parsed.HasCrypt == parsed.Has(Suboptions.AnyHello));
            },
            iter: 200_000);
    }

    [Test]
    [Spec("TD-5")]
    public void What_the_writer_writes_is_read_back()
    {
        byte[] options = new byte[40];
        SuboptionWriter writer = new(options.AsSpan(2));
        writer.Opcode(Opcode.Decline);
        writer.Variable(Opcode.Unknown, [0xc7, 0xc8]);
        writer.Variable(Opcode.AckCookie, [1, 2, 3]);
        writer.Fixed(Opcode.Rekey, [9]);
        writer.Clock(Opcode.SyncRequest, 0xfedcba98);
        writer.Clock(Opcode.SyncOk, 3);
        options[0] = 0x45;
        options[1] = (byte)(2 + writer.Length);
        Assert.That(Convert.ToHexStringLower(writer.Written), Is.EqualTo("04" + "4304c7c8" + "4505010203" + "8209" + "80fedcba98" + "8100000003"));
        CryptOptions parsed = Parse(options);
        Assert.That(parsed.Present, Is.EqualTo(Suboptions.Decline | Suboptions.Unknown | Suboptions.AckCookie | Suboptions.Rekey | Suboptions.SyncRequest | Suboptions.SyncOk));
        Assert.That(parsed.SyncRequestClock, Is.EqualTo(0xfedcba98));
    }

    /// <summary>Suboptions of any kind, in any order, each once: all of them come back, with their contents.</summary>
    [Test]
    [Spec("TD-5")]
    public void Suboptions_that_are_written_are_read_back() =>
        Gen.Select(Gen.Int[0, 11].Array[0, 8], Gen.UInt, Gen.Byte, Gen.Byte.Array[9, 9], Gen.Int[1, 2]).Sample(
            (kinds, clock, label, octets, entries) =>
            {
                byte[] options = new byte[80];
                SuboptionWriter writer = new(options.AsSpan(2));
                Suboptions present = Suboptions.None;
                foreach (int kind in kinds.Distinct())
                {
                    present |= Write(ref writer, kind, clock, label, octets, entries);
                }

                options[0] = 0x45;
                options[1] = (byte)(2 + writer.Length);
                CryptOptions parsed = Parse(options.AsSpan(0, 2 + writer.Length).ToArray());
                bool IsThere(Suboptions which, ReadOnlySpan<byte> actual, ReadOnlySpan<byte> written) => actual.SequenceEqual((present & which) != 0 ? written : default);
                Assert.That(parsed.HasCrypt);
                Assert.That(parsed.Present, Is.EqualTo(present));
                Assert.That(IsThere(Suboptions.PkConf, parsed.PkConf, octets.AsSpan(0, 3 * entries)) && IsThere(Suboptions.Unknown, parsed.UnknownOpcodes, octets.AsSpan(0, entries)), "lists");
                Assert.That(IsThere(Suboptions.SynCookie, parsed.SynCookie, octets) && IsThere(Suboptions.AckCookie, parsed.AckCookie, octets.AsSpan(0, entries)) && IsThere(Suboptions.NextK1, parsed.SessionIdentifier, octets), "octets");
                Assert.That(parsed.SyncRequestClock, Is.EqualTo((present & Suboptions.SyncRequest) != 0 ? clock : 0));
                Assert.That(parsed.SyncOkClock, Is.EqualTo((present & Suboptions.SyncOk) != 0 ? ~clock : 0));
                Assert.That(parsed.KeyLsb, Is.EqualTo((present & Suboptions.Rekey) != 0 ? label : 0));
            },
            iter: 20_000,
            seed: "0000KOIPe036");

    private static Suboptions Write(ref SuboptionWriter writer, int kind, uint clock, byte label, byte[] octets, int entries)
    {
        switch (kind)
        {
            case 0:
                writer.Opcode(Opcode.Hello);
                return Suboptions.Hello;
            case 1:
                writer.Opcode(Opcode.Decline);
                return Suboptions.Decline;
            case 2:
                writer.Opcode(Opcode.NextK2);
                return Suboptions.NextK2;
            case 3:
                writer.Opcode(Opcode.Init1);
                return Suboptions.Init1;
            case 4:
                writer.Variable(Opcode.PkConf, octets.AsSpan(0, 3 * entries));
                return Suboptions.PkConf;
            case 5:
                writer.Variable(Opcode.Unknown, octets.AsSpan(0, entries));
                return Suboptions.Unknown;
            case 6:
                writer.Variable(Opcode.SynCookie, octets);
                return Suboptions.SynCookie;
            case 7:
                writer.Variable(Opcode.AckCookie, octets.AsSpan(0, entries));
                return Suboptions.AckCookie;
            case 8:
                writer.Clock(Opcode.SyncRequest, clock);
                return Suboptions.SyncRequest;
            case 9:
                writer.Clock(Opcode.SyncOk, ~clock);
                return Suboptions.SyncOk;
            case 10:
                writer.Fixed(Opcode.Rekey, [label]);
                return Suboptions.Rekey;
            default:
                writer.Fixed(Opcode.NextK1, octets);
                return Suboptions.NextK1;
        }
    }

    private static bool IsInside(ReadOnlySpan<byte> whole, ReadOnlySpan<byte> part) => part.IsEmpty || (whole.Overlaps(part, out int offset) && offset >= 0 && offset + part.Length <= whole.Length);

    private static string Describe(CryptOptions parsed) =>
        $"{parsed.Present} {Convert.ToHexString(parsed.PkConf)} {Convert.ToHexString(parsed.UnknownOpcodes)} {Convert.ToHexString(parsed.SynCookie)} {Convert.ToHexString(parsed.AckCookie)} "
        + $"{Convert.ToHexString(parsed.SessionIdentifier)} {parsed.SyncRequestClock} {parsed.SyncOkClock} {parsed.KeyLsb} {parsed.HasKeyLsbConflict}";
}
