using System.Net.Sockets;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Simulation;

/// <summary>What a seed stands for: the network, both hosts' settings, and what the applications do. Drawn in one place and in one order, so that a seed means the same on every machine.</summary>
internal sealed class Scenario
{
    private const int MostPieces = 3000;

    private const int MostWhereSlow = 40_000;

    private static readonly TimeSpan s_far = TimeSpan.FromMilliseconds(300);

    private Scenario(Random random)
    {
        bool hostile = random.Next(4) != 0;
        Link = new LinkOptions { AToB = DrawDirection(random, hostile), BToA = DrawDirection(random, hostile) };
        MtuA = DrawMtu(random);
        MtuB = DrawMtu(random);
        TcpA = DrawTcp(random);
        TcpB = DrawTcp(random);
        int connections = random.Next(1, 5);
        long worst = Math.Max(1, (long)(2e6 / connections));
        for (int i = 0; i < connections; i++)
        {
            ConnectionPlan plan = new(
                FromA: random.Next(2) == 0,
                Seed: random.Next(),
                ClientOctets: DrawLength(random, worst),
                ServerOctets: DrawLength(random, worst),
                WriteLimit: 1 << random.Next(0, 17),
                ReadLimit: 1 << random.Next(6, 17),
                ReadPause: random.Next(3) == 0 ? TimeSpan.FromMilliseconds(random.Next(1, 500)) : TimeSpan.Zero,
                NoDelay: random.Next(2) == 0,
                ClientHabits: Habits.Good,
                ServerHabits: Habits.Good);

            // A long stream in tiny pieces teaches nothing that a short one does not, and takes as long as fifty other seeds.
            int most = plan.WriteLimit * MostPieces;
            Connections.Add(plan with { ClientOctets = Math.Min(plan.ClientOctets, most), ServerOctets = Math.Min(plan.ServerOctets, most) });
        }

        // Drawn last: the seeds of before are what they were.
        Encrypts = random.Next(2) == 0;
        Faults = new PathFaults(random, Math.Min(MtuA, MtuB));
        Link = Faults.Apply(Link);
        Middlebox = new Middlebox(random, Encrypts);
        Link = Middlebox.Apply(Link);
        Forger = new Forger(random);
        Tamperer = new Tamperer(random, Encrypts);
        Link = Tamperer.Apply(Link);
        if (random.Next(8) == 0)
        {
            Link = DrawFar(random, Link);
        }

        bool hasHabits = random.Next(3) == 0;
        for (int i = 0; i < Connections.Count && hasHabits; i++)
        {
            ConnectionPlan plan = Connections[i];
            Connections[i] = plan with { ClientHabits = Habits.Draw(random, plan.ClientOctets + plan.ServerOctets), ServerHabits = Habits.Draw(random, plan.ClientOctets + plan.ServerOctets) };
        }

        foreach (TcpStackOptions tcp in (ReadOnlySpan<TcpStackOptions>)[TcpA, TcpB])
        {
            tcp.PathMtuProbing = random.Next(6) switch { 0 => PathMtuProbing.Always, 1 when !Faults.HasBlackHole => PathMtuProbing.Off, _ => PathMtuProbing.OnBlackHole };
            tcp.PathMtuProbeBase = random.Next(3) == 0 ? random.Next(512, 2000) : 1024;
        }

        if (Middlebox.AsksForEcn)
        {
            // Asked for by both, or by one and agreed to.
            TcpA.ExplicitCongestionNotification = true;
            TcpB.ExplicitCongestionNotification = random.Next(4) == 0 ? null : true;
        }

        Appliance = new Appliance(random, Encrypts, Faults.IsNarrow);
        Link = Appliance.Apply(Link);
        IsSlow = random.Next(12) == 0;
        if (IsSlow)
        {
            Link = new LinkOptions { AToB = DrawSlow(random, Link.AToB), BToA = DrawSlow(random, Link.BToA) };
            for (int i = 0; i < Connections.Count; i++)
            {
                ConnectionPlan plan = Connections[i];
                Connections[i] = plan with { ClientOctets = Math.Min(plan.ClientOctets, MostWhereSlow), ServerOctets = Math.Min(plan.ServerOctets, MostWhereSlow) };
            }
        }

        TcpA.CongestionControl = random.Next(3) == 0 ? CongestionControl.NewReno : CongestionControl.Cubic;
        TcpB.CongestionControl = random.Next(3) == 0 ? CongestionControl.NewReno : CongestionControl.Cubic;
    }

    public LinkOptions Link { get; }

    public int MtuA { get; }

    public int MtuB { get; }

    public TcpStackOptions TcpA { get; }

    public TcpStackOptions TcpB { get; }

    /// <summary>Both stacks have tcpcrypt.</summary>
    public bool Encrypts { get; }

    public PathFaults Faults { get; }

    public Middlebox Middlebox { get; }

    public Forger Forger { get; }

    public Tamperer Tamperer { get; }

    public Appliance Appliance { get; }

    /// <summary>The path is a modem's: a packet alone may take seconds.</summary>
    public bool IsSlow { get; }

    /// <summary>A handshake of tcpcrypt, which has ten seconds, may be over before what repeats it has got through.</summary>
    public bool OutlastsHandshakes => IsSlow || Faults.OutlastsHandshakes || Math.Max(Link.AToB.Delay.Ticks, Link.BToA.Delay.Ticks) > s_far.Ticks;

    /// <summary>Somebody may wait for what does not come: only probes find out.</summary>
    public bool KeepsAlive => Middlebox.MayEnd || Appliance.Thins || (Faults.IsMemoryShort && Tamperer.LosesResets) || Connections.Exists(static plan => plan.ClientHabits.KeepsWaiting || plan.ServerHabits.KeepsWaiting);

    /// <summary>The listeners' applications look for other octets than the clients' send: what a failure is like, for the test of how it is told.</summary>
    public bool ExpectsWrongly { get; set; }

    public List<ConnectionPlan> Connections { get; } = [];

    /// <summary>Where memory is short and somebody does not read, a connection whose peer has long taken nothing is reset, and its peer hears of it.</summary>
    public bool MakesRoom(SocketError error) => Faults.IsMemoryShort && KeepsAlive && error is SocketError.NoBufferSpaceAvailable or SocketError.ConnectionReset;

    public static Scenario FromSeed(int seed) => new(new Random(seed));

    public override string ToString() =>
        $"{(Encrypts ? "tcpcrypt, " : "")}MTU {MtuA}/{MtuB}, A to B {Describe(Link.AToB)}; B to A {Describe(Link.BToA)}{Faults}{Middlebox}{Tamperer}{Appliance}{(Encrypts ? "" : Forger)}; "
        + string.Join(", ", Connections.Select(c => $"{(c.FromA ? "A" : "B")} connects, {c.ClientOctets} out {c.ServerOctets} back{c.ClientHabits}{(c.ServerHabits.ToString() is { Length: > 0 } habits ? " | " + habits : "")}"));

    private static string Describe(LinkDirection direction) =>
        $"{direction.Delay.TotalMilliseconds:0.#} ms, loss {direction.Loss:P1}, reorder {direction.Reorder:P1}, dup {direction.Duplicate:P1}, corrupt {direction.Corrupt:P1}, "
        + (direction.BitsPerSecond == 0 ? "no rate limit" : $"{direction.BitsPerSecond / 1e6:0.#} Mbit/s, queue {direction.QueueLimit}");

    private static LinkDirection DrawDirection(Random random, bool hostile)
    {
        bool limited = random.Next(2) == 0;
        return new LinkDirection
        {
            Delay = TimeSpan.FromMicroseconds(random.Next(10, random.Next(2) == 0 ? 1_000 : 100_000)),
            Jitter = random.Next(3) == 0 ? TimeSpan.FromMicroseconds(random.Next(10_000)) : TimeSpan.Zero,
            BitsPerSecond = limited ? random.Next(1, 200) * 1_000_000L : 0,
            QueueLimit = limited ? random.Next(10, 300) : 0,
            Loss = Rate(0.05),
            Reorder = Rate(0.1),
            ReorderDelay = TimeSpan.FromMicroseconds(random.Next(10, 30_000)),
            Duplicate = Rate(0.05),
            Corrupt = Rate(0.03),
        };

        // Each fault is absent half of the time: faults alone and in all combinations.
        double Rate(double most)
        {
            double rate = random.NextDouble() * most;
            return hostile && random.Next(2) == 0 ? rate : 0;
        }
    }

    /// <summary>One way is by a satellite, with a round trip above the first time-out, and no two packets take as long.</summary>
    private static LinkOptions DrawFar(Random random, LinkOptions link)
    {
        TimeSpan delay = s_far + TimeSpan.FromMilliseconds(random.Next(1, 1200));
        TimeSpan jitter = TimeSpan.FromMilliseconds(random.Next(1, 300));
        return random.Next(2) == 0
            ? new LinkOptions { AToB = link.AToB with { Delay = delay, Jitter = jitter }, BToA = link.BToA }
            : new LinkOptions { AToB = link.AToB, BToA = link.BToA with { Delay = delay, Jitter = jitter } };
    }

    private static LinkDirection DrawSlow(Random random, LinkDirection direction) => direction with { BitsPerSecond = random.Next(20_000, 200_000), QueueLimit = random.Next(5, 20) };

    private static int DrawMtu(Random random) => random.Next(4) switch { 0 => random.Next(576, 1500), 1 => random.Next(1501, 9001), _ => 1500 };

    /// <summary>The larger half of all sizes stands for buffers that size themselves.</summary>
    private static int? Automatic(int size) => size > 1_000_000 ? null : size;

    private static TcpStackOptions DrawTcp(Random random) => new()
    {
        WindowScaling = random.Next(4) != 0,
        Timestamps = random.Next(3) != 0,
        SelectiveAcknowledgments = random.Next(2) == 0,
        InitialWindowSegments = random.Next(1, 11),
        ReceiveBufferSize = Automatic(random.Next(3) == 0 ? random.Next(2_000, 20_000) : random.Next(20_000, 2_000_000)),
        SendBufferSize = Automatic(random.Next(2_000, 2_000_000)),
        DelayedAck = TimeSpan.FromMilliseconds(random.Next(3) == 0 ? 0 : random.Next(1, 200)),
    };

    private static int DrawLength(Random random, long most) => random.Next(6) switch
    {
        0 => 0,
        1 => random.Next(1, 3),
        2 => random.Next(1, 3000),
        _ => (int)random.NextInt64(1, most),
    };
}

/// <summary>One connection: who opens it, what each side sends, and how the applications write and read.</summary>
internal sealed record ConnectionPlan(bool FromA, int Seed, int ClientOctets, int ServerOctets, int WriteLimit, int ReadLimit, TimeSpan ReadPause, bool NoDelay, Habits ClientHabits, Habits ServerHabits);
