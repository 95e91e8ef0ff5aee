using NUnit.Framework;

namespace Tcpcrypt.Scripts.Language;

[TestFixture]
internal sealed class ScriptParserTests
{
    [Test]
    public void Header_options_comments_and_the_initial_command()
    {
        Script script = ScriptParser.Parse("x", """
            // Spec: 9293-MUST-1, 5961-2
            // Spec: 768-1
            // Stack: Mtu=1280 Sack=off
            /* a comment
               of two lines */
            --tolerance_usecs=10000
            --local_ip=192.168.0.9 --define=X="a b"
            `sysctl -w net.ipv4.tcp_sack=0`
            0 < . 1:1(0) ack 1 win 2 // behind an event
            `sysctl -w net.ipv4.tcp_sack=1`
            """);
        Assert.Multiple(() =>
        {
            Assert.That(script.Specs, Is.EqualTo(new[] { "9293-MUST-1", "5961-2", "768-1" }));
            Assert.That(script.StackSettings, Is.EqualTo(new KeyValuePair<string, string>[] { new("Mtu", "1280"), new("Sack", "off") }));
            Assert.That(script.Options["tolerance_usecs"], Is.EqualTo("10000"));
            Assert.That(script.Options["local_ip"], Is.EqualTo("192.168.0.9"));
            Assert.That(script.InitCommand, Is.EqualTo("sysctl -w net.ipv4.tcp_sack=0"));
            Assert.That(script.Events, Has.Count.EqualTo(1));
            Assert.That(script.Events[0].Line, Is.EqualTo(9));
            Assert.That(script.KnownFailure, Is.Null);
        });
    }

    [TestCase("1.5 > . 1:1(0) ack 1", TimeKind.Absolute, 1_500_000_000, 0)]
    [TestCase("+0 > . 1:1(0) ack 1", TimeKind.Relative, 0, 0)]
    [TestCase("+.05 > . 1:1(0) ack 1", TimeKind.Relative, 50_000_000, 0)]
    [TestCase("* > . 1:1(0) ack 1", TimeKind.Any, 0, 0)]
    [TestCase("1~2.5 > . 1:1(0) ack 1", TimeKind.AbsoluteRange, 1_000_000_000, 2_500_000_000)]
    [TestCase("+1~+2 > . 1:1(0) ack 1", TimeKind.RelativeRange, 1_000_000_000, 2_000_000_000)]
    public void Times(string line, object kind, long start, long end) =>
        Assert.That(One<PacketEvent>(line).Time, Is.EqualTo(new EventTime((TimeKind)kind, start, end)));

    [Test]
    public void A_tcp_packet_with_everything()
    {
        PacketEvent packet = One<PacketEvent>("0 > [ect0, ttl 5] 80 > 4000 FP.UEW 1:101(100) ack 4294967295 win 65535 urg 7 <mss 1460,nop,eol,wscale 7,sackOK,sack 1:2 3:4,TS val 5 ecr *,opt(30 0a0B),FO abcd>");
        TcpSpec tcp = (TcpSpec)packet.Packet;
        Assert.Multiple(() =>
        {
            Assert.That(packet.IsInbound, Is.False);
            Assert.That(tcp.Ip, Is.EqualTo(new IpSpec(EcnSpec.Ect0, null, 5)));
            Assert.That(tcp.Ports, Is.EqualTo(new PortSpec(80, 4000)));
            Assert.That(tcp.Flags, Is.EqualTo(ScriptFlags.F | ScriptFlags.P | ScriptFlags.Ack | ScriptFlags.U | ScriptFlags.E | ScriptFlags.W));
            Assert.That((tcp.Sequence, tcp.Length, tcp.Ack, tcp.Window, tcp.Urgent), Is.EqualTo((1u, 100, (uint?)4294967295, (ushort?)65535, (ushort?)7)));
            Assert.That(tcp.Options, Is.EqualTo(new OptionSpec[]
            {
                new MssOption(1460), new NopOption(), new EolOption(), new WindowScaleOption(7), new SackPermittedOption(),
                new SackOption([(1, 2), (3, 4)]), new TimestampOption(5, null), new OtherOption(30, "0a0b"), new OtherOption(34, "abcd"),
            }));
        });
    }

    [TestCase("ttl_exceeded", 0)]
    [TestCase("ttl_exceeded_in_transit", 0)]
    [TestCase("frag_reass_exceeded", 1)]
    public void Names_of_time_exceeded(string name, int code)
    {
        IcmpSpec icmp = (IcmpSpec)One<PacketEvent>($"0 < [1:1(0)] icmp time_exceeded {name}").Packet;
        Assert.That((icmp.Type, icmp.Code), Is.EqualTo(((byte)11, (byte?)code)));
    }

    [Test]
    public void A_sequence_number_may_be_any()
    {
        TcpSpec tcp = (TcpSpec)One<PacketEvent>("0 > P. ...(10) ack 1").Packet;
        Assert.That((tcp.IsAnySequence, tcp.Length, tcp.Ack), Is.EqualTo((true, 10, (uint?)1)));
        Assert.That(((TcpSpec)One<PacketEvent>("0 > P. 0:10(10) ack 1").Packet).IsAnySequence, Is.False);
    }

    [Test]
    public void Options_may_be_absent_or_any()
    {
        Assert.That(((TcpSpec)One<PacketEvent>("0 > S 0:0(0)").Packet).Options, Is.Empty);
        Assert.That(((TcpSpec)One<PacketEvent>("0 > S 0:0(0) <...>").Packet).Options, Is.Null);
        Assert.That(((TcpSpec)One<PacketEvent>("0 > S 0:0(0) <nocheck>").Packet).Options, Is.Null);
        Assert.That(((TcpSpec)One<PacketEvent>("0 > S 0:0(0) <TS val ... ecr 5>").Packet).Options, Is.EqualTo(new OptionSpec[] { new TimestampOption(null, 5) }));
    }

    [Test]
    public void A_wrong_packet_says_what_is_wrong_with_it()
    {
        TcpSpec tcp = (TcpSpec)One<PacketEvent>("0 < - 4294967290:4(10) win 5 {checksum bad, doff 4, source 224.0.0.1}").Packet;
        Assert.That(tcp.Flags, Is.EqualTo(ScriptFlags.None));
        Assert.That(tcp.Mutations, Is.EqualTo(new Dictionary<string, string> { ["checksum"] = "bad", ["doff"] = "4", ["source"] = "224.0.0.1" }));
    }

    [TestCase("0 < [1:1001(1000)] icmp unreachable frag_needed mtu 1200")]
    [TestCase("0 < icmp unreachable frag_needed mtu 1200 [1:1001(1000)]")]
    public void Icmp_errors_in_both_notations(string line)
    {
        IcmpSpec icmp = (IcmpSpec)One<PacketEvent>(line).Packet;
        Assert.That((icmp.Type, icmp.Code, icmp.Mtu, icmp.QuotedSequence, icmp.QuotedLength), Is.EqualTo(((byte)3, (byte?)4, (int?)1200, 1u, 1000)));
    }

    [Test]
    public void Udp()
    {
        UdpSpec udp = (UdpSpec)One<PacketEvent>("0 < udp 53 > 4000 (512)").Packet;
        Assert.That((udp.Length, udp.Ports), Is.EqualTo((512, (PortSpec?)new PortSpec(53, 4000))));
    }

    [Test]
    public void A_system_call_with_result_errno_and_note()
    {
        SyscallEvent call = One<SyscallEvent>("+0 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"1.2.3.4\")}, ...) = -1 EINPROGRESS (Operation now in progress)");
        StructExpression address = (StructExpression)call.Arguments[1];
        Assert.Multiple(() =>
        {
            Assert.That((call.Name, call.Errno, call.EndNs), Is.EqualTo(("connect", "EINPROGRESS", (long?)null)));
            Assert.That(call.Result, Is.EqualTo(new NumberExpression(-1)));
            Assert.That(((CallExpression)address["sin_port"]!).Arguments[0], Is.EqualTo(new NumberExpression(80)));
            Assert.That(call.Arguments[2], Is.EqualTo(new EllipsisExpression()));
        });
    }

    [Test]
    public void A_blocking_call_has_an_end_time()
    {
        Assert.That(One<SyscallEvent>("0.1...0.25 accept(3, ..., ...) = 4").EndNs, Is.EqualTo(250_000_000));
        Assert.That(One<SyscallEvent>("+0...+0.25 read(3, ..., 0x10) = 16").Arguments[2], Is.EqualTo(new NumberExpression(16)));
    }

    [Test]
    public void Events_follow_one_another_without_separators()
    {
        Script script = ScriptParser.Parse("x", "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3 +0 bind(3, ..., ...) = 0\n* > S 0:0(0) +0 < . 1:1(0) ack 1 `echo` ".Replace("`echo` ", "", StringComparison.Ordinal) + "+0 %{ assert tcpi_rtt == 1 }% +1 `true`");
        Assert.That(script.Events.Select(e => e.GetType().Name), Is.EqualTo(new[] { "SyscallEvent", "SyscallEvent", "PacketEvent", "PacketEvent", "CodeEvent", "CommandEvent" }));
    }

    [TestCase("0 < . 1:2(5) ack 1", 1, "does not add up")]
    [TestCase("\n0 < X 1:1(0)", 2, "no TCP flag")]
    [TestCase("\n\n* < . 1:1(0)", 3, "only outbound")]
    [TestCase("0 < . 1:1(0) <...>", 1, "outbound packets only")]
    [TestCase("0 < . ...(0)", 1, "outbound packets only")]
    [TestCase("0 close(3) = 0 `true`\n0 close(3) = 0", 1, "a time in seconds")]
    [TestCase("0 > . 1:1(0) {doff 4}", 1, "only inbound packets")]
    [TestCase("0 > . 1:1(0) <foo 3>", 1, "no TCP option")]
    [TestCase("0 > . 1:1(0) win 65536", 1, "out of range")]
    [TestCase("2~1 > . 1:1(0)", 1, "backwards")]
    [TestCase("0 connect(3, ... = 0", 1, "expected")]
    [TestCase("0 close(3) = 0\n0 \"x", 2, "is missing")]
    [TestCase("0 > icmp nonsense", 1, "no ICMP type")]
    [TestCase("/* never ends", 1, "is missing")]
    [TestCase("// Stack: nonsense\n0 close(3) = 0", 1, "not key=value")]
    public void Mistakes_are_told_with_their_line(string text, int line, string message)
    {
        ScriptSyntaxException error = Assert.Throws<ScriptSyntaxException>(() => ScriptParser.Parse("name.pkt", text))!;
        Assert.That(error.Line, Is.EqualTo(line));
        Assert.That(error.Message, Does.StartWith("name.pkt:" + line).And.Contain(message));
    }

    private static T One<T>(string text)
        where T : ScriptEvent => (T)ScriptParser.Parse("x", text).Events.Single();
}
