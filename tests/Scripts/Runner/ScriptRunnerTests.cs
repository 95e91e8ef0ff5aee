using NUnit.Framework;
using Tcpcrypt.Scripts.Language;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>A runner that lets everything pass would make every script worthless: each kind of difference must be found.</summary>
[TestFixture]
internal sealed class ScriptRunnerTests
{
    private const string Open = """
        0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
        +0 bind(3, ..., ...) = 0
        +0 listen(3, 1) = 0
        +0 < S 0:0(0) win 32792 <mss 1000>
        +0 > S. 0:0(0) ack 1 <mss 1460>
        +.1 < . 1:1(0) ack 1 win 32792
        +0 accept(3, ..., ...) = 4

        """;

    [Test]
    public void A_script_that_is_right_passes_and_leaves_a_trace()
    {
        Run(Open + "+0 write(4, ..., 10) = 10\n+0 > P. ...(10) ack 1 <...>");
        ScriptRunner runner = Run(Open + "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1");
        Assert.That(runner.Trace[^1], Is.EqualTo("0.100000 > P. 1:11(10) ack 1 win 65535"));
        Assert.That(runner.Notes, Is.Empty);
    }

    [TestCase("+0 > . 1:11(10) ack 1", "flags")]
    [TestCase("+0 > P. 2:12(10) ack 1", "sequence number")]
    [TestCase("+0 > P. 1:12(11) ack 1", "payload length")]
    [TestCase("+0 > P. ...(11) ack 1", "payload length")]
    [TestCase("+0 > P. 1:11(10) ack 2", "acknowledgment number")]
    [TestCase("+0 > P. 1:11(10) ack 1 win 9", "window")]
    [TestCase("+0 > P. 1:11(10) ack 1 <nop,nop,TS val 1 ecr 1>", "options")]
    [TestCase("+0 > P. 1:11(10) ack 1 <mss 1460>", "options")]
    [TestCase("+0 > [ect0] P. 1:11(10) ack 1", "ECN")]
    [TestCase("+0 > [ttl 3] P. 1:11(10) ack 1", "time to live")]
    [TestCase("+0 > 8080 > 1 P. 1:11(10) ack 1", "destination port")]
    [TestCase("+.1 > P. 1:11(10) ack 1", "time")]
    [TestCase("+0 > udp (10)", "protocol")]
    [TestCase("+0 close(3) = 0", "does not mention")]
    public void Each_difference_of_a_packet_is_found(string expectation, string what)
    {
        ScriptFailure failure = Assert.Throws<ScriptFailure>(() => Run(Open + "+0 write(4, ..., 10) = 10\n" + expectation))!;
        Assert.That(failure.Message, Does.Contain(what).And.Contain("actual:").And.Contain("> P. 1:11(10) ack 1"));
    }

    [TestCase("+0 write(4, ..., 10) = 11", "the result differs")]
    [TestCase("+0 read(4, ..., 10) = 10", "the result differs")]
    [TestCase("+0 read(4, ..., 10) = -1 EPIPE (Broken pipe)", "the result differs")]
    [TestCase("+0 bind(4, ..., ...) = 0", "the result differs")]
    [TestCase("+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0", "SO_ERROR is 0")]
    [TestCase("+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0", "TCP_NODELAY is 0")]
    [TestCase("+0 ioctl(4, SIOCINQ, [5]) = 0", "SIOCINQ is 0")]
    [TestCase("+0 poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 0) = 1", "the result differs")]
    [TestCase("+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN|POLLOUT}], 1, 0) = 1", "revents expected")]
    [TestCase("+0 %{ assert tcpi_snd_cwnd == 11 }%", "tcpi_snd_cwnd is 10")]
    [TestCase("+0 %{ wanted = 9; wanted += 0x2; assert tcpi_snd_cwnd == wanted }%", "tcpi_snd_cwnd is 10")]
    [TestCase("+0...0.5 read(4, ..., 10) = 10", "still blocked")]
    [TestCase("+0 > . 1:1(0) ack 1", "no packet was sent")]
    public void Each_difference_of_a_call_is_found(string line, string what) =>
        Assert.That(() => Run(Open + line), Throws.InstanceOf<ScriptFailure>().With.Message.Contains(what).And.Message.Contains("x.pkt:8"));

    [Test]
    public void Epoll_tells_edges_once()
    {
        const string Edges = """
            +0 epoll_create(1) = 5
            +0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN|EPOLLOUT|EPOLLET, fd=4}) = 0
            +0 epoll_wait(5, {events=EPOLLOUT, fd=4}, 1, 0) = 1
            +0 epoll_wait(5, {events=0, ptr=0}, 1, 0) = 0
            +0 < P. 1:11(10) ack 1 win 100
            +0 epoll_wait(5, {events=EPOLLIN|EPOLLOUT, fd=4}, 1, 0) = 1
            +0 epoll_wait(5, {events=0, ptr=0}, 1, 0) = 0
            +.04 > . 1:1(0) ack 11
            +0 epoll_ctl(5, EPOLL_CTL_MOD, 4, {events=EPOLLIN, fd=4}) = 0

            """;
        Run(Open + Edges + "+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1\n+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1");
        Assert.That(() => Run(Open + Edges + "+0 epoll_wait(5, {events=0, ptr=0}, 1, 0) = 0"), Throws.InstanceOf<ScriptFailure>().With.Message.Contains("the result differs"));
        Assert.That(() => Run(Open + Edges + "+0 epoll_wait(5, {events=EPOLLOUT, fd=4}, 1, 0) = 1"), Throws.InstanceOf<ScriptFailure>().With.Message.Contains("events expected"));
    }

    [Test]
    public void A_message_tells_how_much_is_left()
    {
        const string Left = "+0 setsockopt(4, SOL_TCP, TCP_INQ, [1], 4) = 0\n+0 < FP. 1:11(10) ack 1 win 100\n+0 > . 1:1(0) ack 12\n";
        string Read(int count, int left) => $"+0 recvmsg(4, {{msg_name(...)=..., msg_iov(1)=[{{..., {count}}}], msg_flags=0, msg_control=[{{cmsg_level=SOL_TCP, cmsg_type=TCP_CM_INQ, cmsg_data={left}}}]}}, 0) = {count}\n";
        Run(Open + Left + Read(4, 6) + Read(6, 1));
        Assert.That(() => Run(Open + Left + Read(4, 5)), Throws.InstanceOf<ScriptFailure>().With.Message.Contains("TCP_CM_INQ is 6"));
    }

    [Test]
    public void A_super_segment_comes_in_segments_of_the_size_that_the_script_names()
    {
        const string Text = "+0 < P. 1:6001(6000) ack 1 win 100\n+0 > . 1:1(0) ack 6001\n+0 %{ assert tcpi_rcv_mss == 1000 and tcpi_segs_in == 7 }%";
        Run("--mss=1000\n" + Open + Text);
        Assert.That(() => Run(Open + Text), Throws.InstanceOf<ScriptFailure>().With.Message.Contains("tcpi_rcv_mss is 1460"));
    }

    [Test]
    public void Data_in_another_place_is_found()
    {
        // What is read is compared with what was sent at that offset of the stream.
        Assert.That(
            () => Run(Open + "+0 < P. 1:11(10) ack 1 win 100 {data 0}\n+0 read(4, ..., 10) = 10"),
            Throws.InstanceOf<ScriptFailure>().With.Message.Contains("octet 0 of the data"));
    }

    [Test]
    public void A_blocked_call_must_return_when_the_script_says()
    {
        Run(Open + "+0...0.2 read(4, ..., 10) = 10\n+.2 < P. 1:11(10) ack 1 win 100\n+.04 > . 1:1(0) ack 11");
        Assert.That(
            () => Run(Open + "+0...0.3 read(4, ..., 10) = 10\n+.1 < P. 1:11(10) ack 1 win 100"),
            Throws.InstanceOf<ScriptFailure>().With.Message.Contains("returned at another time"));
    }

    [Test]
    public void The_clock_of_timestamps_is_checked_when_asked_for()
    {
        string Text(string value) => "--tcp_ts_tick_usecs=1000\n" + Open
            .Replace("<mss 1000>", "<mss 1000,TS val 9 ecr 0>", StringComparison.Ordinal)
            .Replace("<mss 1460>", "<mss 1460,TS val 100 ecr 9>", StringComparison.Ordinal)
            .Replace("ack 1 win 32792", "ack 1 win 32792 <TS val 10 ecr 100>", StringComparison.Ordinal)
            + $"+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 <TS val {value} ecr 10>";
        Run(Text("200"));
        Assert.That(() => Run(Text("250")), Throws.InstanceOf<ScriptFailure>().With.Message.Contains("options"));
    }

    [Test]
    public void Options_in_the_scripts_order_are_demanded_when_asked_for()
    {
        string script = Open.Replace("<mss 1000>", "<mss 1000,sackOK>", StringComparison.Ordinal);
        Run(script.Replace("<mss 1460>", "<sackOK,mss 1460>", StringComparison.Ordinal));
        Assert.That(
            () => Run("--strict_options\n" + script.Replace("<mss 1460>", "<sackOK,mss 1460>", StringComparison.Ordinal)),
            Throws.InstanceOf<ScriptFailure>().With.Message.Contains("options"));
    }

    [Test]
    public void What_is_not_carried_out_is_noted()
    {
        ScriptRunner runner = Run("`modprobe tun; sysctl -w net.ipv4.tcp_sack=0`\n" + Open + "+0 %{ print(tcpi_rtt) }%\n+0 `iptables -L`");
        Assert.That(runner.Notes, Has.Some.Contains("modprobe").And.Some.Contains("print").And.Some.Contains("iptables"));
        Assert.That(() => Run("+0 frobnicate(3) = 0"), Throws.InstanceOf<NotSupportedException>());
    }

    [Test]
    public void Another_version_of_ip_is_refused() =>
        Assert.That(() => Run("--ip_version=ipv6\n" + Open), Throws.InstanceOf<NotSupportedException>());

    [Test]
    public void Another_ones_script_may_end_early() =>
        ScriptRunner.Run(ScriptParser.Parse("x.pkt", Open + "+0 write(4, ..., 10) = 10"));

    [TestCase("tcp_keepalive_time=7", "TCP_KEEPIDLE, [7]")]
    [TestCase("tcp_keepalive_intvl=7", "TCP_KEEPINTVL, [7]")]
    [TestCase("tcp_keepalive_probes=7", "TCP_KEEPCNT, [7]")]
    [TestCase("tcp_notsent_lowat=7", "TCP_NOTSENT_LOWAT, [0]")]
    public void Settings_of_each_socket_are_set(string setting, string option) =>
        Run($"`sysctl -q net.ipv4.{setting}`\n{Open}+0 getsockopt(4, SOL_TCP, {option}, [4]) = 0");

    [Test]
    public void Unsent_octets_hold_a_writer_back_where_the_script_says()
    {
        const string Text = "+0 write(4, ..., 20000) = 20000\n+0 poll([{fd=4, events=POLLOUT, revents=POLLOUT}], 1, 0) = 1";
        ScriptRunner.Run(ScriptParser.Parse("x.pkt", Open + Text));
        Assert.That(() => Run("`sysctl -q net.ipv4.tcp_notsent_lowat=4000`\n" + Open + Text), Throws.InstanceOf<ScriptFailure>().With.Message.Contains("the result differs"));
    }

    [Test]
    public void Window_scale_of_another_ones_script_is_what_it_expects()
    {
        string Text(int shift) => Open
            .Replace("<mss 1000>", "<mss 1000,sackOK,nop,wscale 7>", StringComparison.Ordinal)
            .Replace("<mss 1460>", $"<mss 1460,sackOK,nop,wscale {shift}>", StringComparison.Ordinal);
        ScriptRunner.Run(ScriptParser.Parse("x.pkt", Text(8)));
        Assert.That(() => Run(Text(8)), Throws.InstanceOf<ScriptFailure>().With.Message.Contains("wscale 0"));
    }

    [Test]
    public void Configuration_of_Linuxs_scripts_is_known()
    {
        const string Text = "+0 < P. 1:1001(1000) ack 1 win 100\n+0 > . 1:1(0) ack 1001";
        Run("`./defaults.sh`\n" + Open + Text);
        Assert.That(() => Run(Open + Text), Throws.InstanceOf<ScriptFailure>().With.Message.Contains("no packet was sent"), "the ACK is delayed");
    }

    private static ScriptRunner Run(string text) => ScriptRunner.Run(ScriptParser.Parse("x.pkt", text + "\n// Spec: 9293-MUST-1"));
}
